"""Point tracking backends."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from curation.models.planned import planned
from curation.models.tracking.lucas_kanade import LucasKanadeConfig
from curation.models.tracking.protocol import PointTracker


class TrackingConfig(Config):
    backend: Literal["lucas_kanade", "cotracker3"] = Field(
        default="lucas_kanade",
        description="lucas_kanade: pyramidal flow checked both ways, re-seeded by masks; no weights",
    )
    lucas_kanade: LucasKanadeConfig = LucasKanadeConfig()


def build_tracker(config: TrackingConfig) -> PointTracker:
    """The chosen backend, ready to track.

    Raises:
        BackendUnavailableError: it cannot run here.
    """
    match config.backend:
        case "lucas_kanade":
            from curation.models.tracking.lucas_kanade import LucasKanadeTracker

            return LucasKanadeTracker(config.lucas_kanade)
        case "cotracker3":
            raise planned("cotracker3", "tracking.backend=lucas_kanade")
