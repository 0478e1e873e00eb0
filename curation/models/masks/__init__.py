"""Mask trackers: an object's mask in every frame, from its mask in one."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from curation.models.alternative import or_choose
from curation.models.masks.foreground import ForegroundConfig
from curation.models.masks.protocol import MaskTracker
from curation.models.masks.sam2 import Sam2Config
from curation.models.packages import require_package


class MasksConfig(Config):
    backend: Literal["foreground", "sam2"] = Field(
        default="foreground",
        description="foreground: foreground followed by flow and colour, no weights; sam2: SAM 2.1 or EdgeTAM, as the "
        "weights are",
    )
    foreground: ForegroundConfig = ForegroundConfig()
    sam2: Sam2Config = Sam2Config()


def build_masks(config: MasksConfig) -> MaskTracker:
    """The chosen backend.

    Raises:
        BackendUnavailableError: it cannot run here.
    """
    match config.backend:
        case "foreground":
            from curation.models.masks.foreground import ForegroundMasks

            return ForegroundMasks(config.foreground)
        case "sam2":
            from curation.models.masks.sam2 import Sam2Masks

            with or_choose("objects.masks.backend=foreground"):
                require_package("sam2", "transformers", "transformers")
                return Sam2Masks(config.sam2)
