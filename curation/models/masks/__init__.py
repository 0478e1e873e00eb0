"""Mask trackers: an object's mask in every frame, from its mask in one."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from curation.models.masks.grabcut import GrabCutConfig
from curation.models.masks.protocol import MaskTracker
from curation.models.planned import planned


class MasksConfig(Config):
    backend: Literal["grabcut", "sam2"] = Field(
        default="grabcut", description="grabcut: foreground followed by flow and colour; no weights"
    )
    grabcut: GrabCutConfig = GrabCutConfig()


def build_masks(config: MasksConfig) -> MaskTracker:
    """The chosen backend.

    Raises:
        BackendUnavailableError: it cannot run here.
    """
    match config.backend:
        case "grabcut":
            from curation.models.masks.grabcut import GrabCutMasks

            return GrabCutMasks(config.grabcut)
        case "sam2":
            raise planned("sam2", "objects.masks.backend=grabcut")
