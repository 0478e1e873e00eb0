"""Mask trackers: an object's mask in every frame, from its mask in one."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from curation.models.masks.foreground import ForegroundConfig
from curation.models.masks.protocol import MaskTracker
from curation.models.planned import planned


class MasksConfig(Config):
    backend: Literal["foreground", "sam2"] = Field(
        default="foreground", description="foreground: foreground followed by flow and colour; no weights"
    )
    foreground: ForegroundConfig = ForegroundConfig()


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
            raise planned("sam2", "objects.masks.backend=foreground")
