"""The models that a request can name, with what each was made for."""

import difflib
from dataclasses import dataclass
from typing import Literal

from curation.contract.errors import UsageError

Family = Literal["wan", "cogvideox"]


@dataclass(frozen=True)
class ModelSpec:
    """Weights, and what a generation uses where its request says nothing.

    Attributes:
        base: hub repository with all parts in diffusers layout; "" for random weights, made on the spot.
        revision: its commit.
        transformer: hub repository of the published transformer.
        width, height: canvas on which the model was trained, px.
        num_frames: one more than a multiple of `frame_step`.
        dot_radius: half side of a trajectory's square in px at a canvas height of 384 (the recipe's).
        identity: trained with ID references: it expects a black picture where there is none. Else it takes none.
        legacy_stretch: trained on ID references stretched to the canvas' aspect.
    """

    family: Family
    base: str
    revision: str
    transformer: str
    width: int
    height: int
    num_frames: int
    num_inference_steps: int
    guidance_scale: float
    dot_radius: int
    identity: bool = True
    legacy_stretch: bool = False

    @property
    def side(self) -> int:
        """Canvas sides are multiples of this many px: the latents' scale times the transformer's patch."""
        return {"wan": 16, "cogvideox": 8}[self.family] * 2

    @property
    def frame_step(self) -> int:
        """Numbers of frames are one more than a multiple of this.

        Both VAEs shrink time by 4. CogVideoX's decodes latent frames in pairs and gets even numbers of them wrong: two
        become eight frames, not five.
        """
        return {"wan": 4, "cogvideox": 8}[self.family]


def _wan(transformer: str, identity: bool) -> ModelSpec:
    base = ("Wan-AI/Wan2.2-TI2V-5B-Diffusers", "b8fff7315c768468a5333511427288870b2e9635")
    published = f"uva-cv-lab/FrameINO_Wan2.2_5B_{transformer}"
    return ModelSpec("wan", *base, published, 1280, 704, 81, 50, 5.0, 7, identity, legacy_stretch=True)


def _cogvideox(transformer: str, identity: bool) -> ModelSpec:
    base = ("zai-org/CogVideoX-5b-I2V", "a6f0f4858a8395e7429d82493864ce92bf73af11")
    published = f"uva-cv-lab/FrameINO_CogVideoX_{transformer}"
    return ModelSpec("cogvideox", *base, published, 720, 480, 49, 50, 6.0, 6, identity, legacy_stretch=True)


MODELS: dict[str, ModelSpec] = {
    "wan2.2-5b-inout": _wan("Stage2_MotionINO_v1.6", identity=True),
    "wan2.2-5b-motion": _wan("Stage1_Motion_v1.5", identity=False),
    "cogvideox-5b-inout": _cogvideox("Stage2_MotionINO_v1.0", identity=True),
    "cogvideox-5b-motion": _cogvideox("Stage1_Motion_v1.0", identity=False),
    # Random weights of the same classes: what comes out is noise, and the way there is the real one.
    "tiny-wan": ModelSpec("wan", "", "", "", 192, 128, 17, 6, 5.0, 7),
    "tiny-cogvideox": ModelSpec("cogvideox", "", "", "", 192, 128, 17, 6, 6.0, 6),
}


def model_spec(name: str) -> ModelSpec:
    """What the model of that name was made for.

    Raises:
        UsageError: there is none.
    """
    if name not in MODELS:
        guess = difflib.get_close_matches(name, MODELS, n=1)
        meant = f"did you mean {guess[0]!r}? " if guess else ""
        raise UsageError(f"unknown model {name!r}; {meant}models: {', '.join(MODELS)}")
    return MODELS[name]
