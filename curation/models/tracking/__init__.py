"""Point tracking backends."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from curation.models.alternative import or_choose
from curation.models.tracking.cotracker import CoTrackerConfig
from curation.models.tracking.lucas_kanade import LucasKanadeConfig
from curation.models.tracking.protocol import PointTracker
from curation.models.tracking.tapir import TapirConfig
from curation.models.tracking.tapnext import TapNextConfig


class TrackingConfig(Config):
    backend: Literal["lucas_kanade", "cotracker3", "tapir", "tapnext"] = Field(
        default="lucas_kanade",
        description="lucas_kanade: pyramidal flow checked both ways, re-seeded by masks, no weights; cotracker3 "
        "(non-commercial), tapir and tapnext: learned",
    )
    lucas_kanade: LucasKanadeConfig = LucasKanadeConfig()
    cotracker3: CoTrackerConfig = CoTrackerConfig()
    tapir: TapirConfig = TapirConfig()
    tapnext: TapNextConfig = TapNextConfig()


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
            from curation.models.tracking.cotracker import CoTracker

            with or_choose("tracking.backend=lucas_kanade"):
                return CoTracker(config.cotracker3)
        case "tapir":
            from curation.models.tracking.tapir import Tapir

            with or_choose("tracking.backend=lucas_kanade"):
                return Tapir(config.tapir)
        case "tapnext":
            from curation.models.tracking.tapnext import TapNext

            with or_choose("tracking.backend=lucas_kanade"):
                return TapNext(config.tapnext)
