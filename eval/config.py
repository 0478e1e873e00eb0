"""The whole configuration of an evaluation. It imports no torch, so that a mistake in it shows at once.

Presets are YAML files in eval/configs/. What is given later wins, key by key:
defaults < preset < config file < --set.
"""

from pathlib import Path

from pydantic import Field

from curation.contract.config import Config, parse_config
from curation.contract.config_layers import merge, parse_override, read_yaml
from curation.contract.errors import UsageError
from curation.engine.config import EngineConfig
from curation.models.masks import MasksConfig
from curation.models.tracking import TrackingConfig
from eval.models.answers import VlmConfig
from eval.models.frames import FramesConfig
from eval.models.perceptual import PerceptualConfig
from eval.models.videos import VideosConfig

_PRESETS = Path(__file__).parent / "configs"
PRESETS = ("embedded", "full")
_PUBLISHED_SIZES = (448, 640, 256, 384)
_PUBLISHED_FRAMES = {"frame_in": 49, "frame_out": 14}


class ComparisonConfig(Config):
    """What is compared. The defaults are the published protocol, but for `frames_out`."""

    height: int = Field(default=448, gt=0, description="canvas that both videos are read at, px")
    width: int = Field(default=640, gt=0, description="canvas that both videos are read at, px")
    region_height: int = Field(default=256, gt=0, description="what the region box is scaled to, px")
    region_width: int = Field(default=384, gt=0, description="what the region box is scaled to, px")
    frames_in: int = Field(default=49, ge=3, description="evenly spaced frames compared at most, Frame In")
    frames_out: int = Field(
        default=49, ge=3, description="evenly spaced frames compared at most, Frame Out; 14 in the paper, for baselines"
    )
    event_tolerance: int = Field(
        default=5, ge=0, description="generated frames by which a crossing may be early or late"
    )

    def is_published(self, kind: str) -> bool:
        """Whether samples of a kind (frame_in / frame_out) are compared as the published numbers were made."""
        frames = self.frames_in if kind == "frame_in" else self.frames_out
        sizes = (self.height, self.width, self.region_height, self.region_width)
        return sizes == _PUBLISHED_SIZES and frames == _PUBLISHED_FRAMES[kind]


class EvalConfig(Config):
    comparison: ComparisonConfig = ComparisonConfig()
    tracking: TrackingConfig = TrackingConfig()
    masks: MasksConfig = MasksConfig()
    look: FramesConfig = Field(default=FramesConfig(), description="for similarity to the ID reference")
    fid: FramesConfig = FramesConfig()
    fvd: VideosConfig = VideosConfig()
    perceptual: PerceptualConfig = PerceptualConfig()
    vlm: VlmConfig = VlmConfig()
    engine: EngineConfig = Field(default=EngineConfig(shard_items=1), description="nothing in it changes a value")

    def values_fingerprint(self) -> str:
        """Changes when a score could."""
        return self.model_copy(update={"engine": EngineConfig()}).fingerprint()


def load_config(preset: str, config_file: Path | None = None, overrides: list[str] | None = None) -> EvalConfig:
    """A preset with a file's and the command line's changes.

    Args:
        preset: one of `PRESETS`.
        overrides: `a.b=c`, c in YAML.

    Raises:
        UsageError: one line that names the key or the file, what is wrong, and what was probably meant.
    """
    if preset not in PRESETS:
        raise UsageError(f"unknown preset {preset!r}; presets: {', '.join(PRESETS)}")
    data = read_yaml(_PRESETS / f"{preset}.yaml")
    if config_file:
        data = merge(data, read_yaml(config_file))
    for override in overrides or []:
        data = merge(data, parse_override(override))
    data = merge({"engine": {"shard_items": 1}}, data)
    return parse_config(EvalConfig, data, str(config_file) if config_file else "--set")
