"""Which backends a config chooses, what they ask of a GPU, and under which licence they and their weights are."""

from dataclasses import dataclass

from curation.config import RunConfig
from curation.contract.config import Config
from curation.models.camera.vggt import VggtConfig
from curation.models.caption.qwen import QwenConfig
from curation.models.masks.sam2 import Sam2Config
from curation.models.model_config import DeviceConfig, ModelConfig
from curation.models.objects.panoptic import PanopticConfig

ANALYSE, LABEL = "analyse", "label"


@dataclass(frozen=True)
class Choice:
    """A backend that a config chooses.

    Attributes:
        pass_name: the pass whose workers hold it.
        key: where the choice is made, as `--set` names it.
        config: of the backend; None for those that have nothing to set.
    """

    pass_name: str
    capability: str
    key: str
    backend: str
    config: Config | None


@dataclass(frozen=True)
class Licence:
    """The stricter one of code and weights, and whether it allows commercial use."""

    name: str
    commercial: bool = True


def chosen(config: RunConfig) -> list[Choice]:
    """In the order in which they work."""
    sections = [
        (ANALYSE, "shot detection", "shots", config.shots),
        (ANALYSE, "text area", "image_scores.text", config.image_scores.text),
        (ANALYSE, "image quality", "image_scores.quality", config.image_scores.quality),
        (ANALYSE, "camera", "camera", config.camera),
        (LABEL, "objects", "objects.detector", config.objects.detector),
        (LABEL, "masks over the clip", "objects.masks", config.objects.masks),
        (LABEL, "point tracking", "tracking", config.tracking),
        (LABEL, "caption", "captions", config.captions),
    ]
    found = []
    for pass_name, capability, key, section in sections:
        # The recipe's image scores are two backends behind one name.
        parts = ("pyiqa", "icnet") if section.backend == "clipiqa_nima_icnet" else (section.backend,)
        found += [Choice(pass_name, capability, key, part, getattr(section, part, None)) for part in parts]
    return found


def asked_gpus(config: RunConfig, pass_name: str) -> float:
    """The share of a GPU that a worker of a pass wants: the sum over its backends that may run on one."""
    settings = [choice.config for choice in chosen(config) if choice.pass_name == pass_name]
    devices = [one for one in settings if isinstance(one, DeviceConfig)]
    return round(sum(one.gpus for one in devices if one.device == "auto" or one.device.startswith("cuda")), 6)


ALTERNATIVES = (
    Choice(LABEL, "objects", "objects.detector", "panoptic", PanopticConfig()),
    Choice(
        LABEL,
        "objects",
        "objects.detector",
        "panoptic",
        PanopticConfig(
            weights="facebook/mask2former-swin-large-coco-panoptic", revision="85b535928a783691eaf27467a573b26d543336ea"
        ),
    ),
    Choice(
        LABEL, "objects", "objects.detector", "panoptic", PanopticConfig(weights="tue-mps/coco_panoptic_eomt_large_640")
    ),
    Choice(
        LABEL,
        "masks over the clip",
        "objects.masks",
        "sam2",
        Sam2Config(weights="yonigozlan/EdgeTAM-hf", revision="c266ce53b3fc00f0f495b583f6a116c4e57f53bb"),
    ),
    Choice(
        ANALYSE,
        "camera",
        "camera",
        "vggt",
        VggtConfig(weights="facebook/VGGT-1B-Commercial", revision="ebb29a532abe92960eeb6903a5530f16990ef4ab"),
    ),
    Choice(
        LABEL,
        "caption",
        "captions",
        "qwen",
        QwenConfig(weights="Qwen/Qwen3-VL-8B-Instruct", revision="0c351dd01ed87e9c1b53cbc748cba10e6187ff3b"),
    ),
)
"""Weights that work with a backend and are not its default."""

_NON_COMMERCIAL = Licence("CC-BY-NC-4.0", commercial=False)
_APACHE, _MIT = Licence("Apache-2.0"), Licence("MIT")

_OF_WEIGHTS = {
    "shi-labs/oneformer_coco_swin_large": _MIT,
    "facebook/mask2former-swin-large-coco-panoptic": Licence("MIT code, weights 'other'", commercial=False),
    "tue-mps/coco_panoptic_eomt_large_640": _MIT,
    "facebook/sam2.1-hiera-large": _APACHE,
    "yonigozlan/EdgeTAM-hf": _APACHE,
    "facebook/cotracker3": _NON_COMMERCIAL,
    "facebook/VGGT-1B": _NON_COMMERCIAL,
    "facebook/VGGT-1B-Commercial": Licence("VGGT License v1, behind a form"),
    "facebook/map-anything-apache": _APACHE,
    "Yuxihenry/SpatialTrackerV2_Front": Licence("unsettled", commercial=False),
    "Qwen/Qwen2.5-VL-32B-Instruct": _APACHE,
    "Qwen/Qwen3-VL-8B-Instruct": _APACHE,
}

_OF_CODE = {
    "transnetv2": _MIT,
    "pyscenedetect": Licence("BSD-3-Clause"),
    "autoshot": _MIT,
    "rapidocr": _APACHE,
    "pyiqa": Licence("PolyForm Noncommercial 1.0.0, NTU S-Lab", commercial=False),
    "icnet": Licence("none stated", commercial=False),
    "cotracker3": _NON_COMMERCIAL,
    "tapir": _APACHE,
    "tapnext": _APACHE,
    "colmap": Licence("BSD-3-Clause"),
    "server": Licence("the served model's"),
}


def licence(choice: Choice) -> Licence:
    """Of a backend with the weights that its config names; unknown weights are not taken for free."""
    weights = choice.config.weights if isinstance(choice.config, ModelConfig) else None
    if choice.backend in _OF_CODE and (weights is None or weights not in _OF_WEIGHTS):
        return _OF_CODE[choice.backend]
    if weights is not None:
        return _OF_WEIGHTS.get(weights, Licence("of these weights: not known here", commercial=False))
    return _APACHE
