"""Image quality backends."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from curation.models.planned import planned
from curation.models.quality.classical import ClassicalConfig
from curation.models.quality.protocol import QualityScorer


class QualityConfig(Config):
    backend: Literal["classical", "clipiqa_nima_icnet"] = Field(
        default="classical", description="classical: measures of the picture; no weights"
    )
    classical: ClassicalConfig = ClassicalConfig()


def build_quality_scorer(config: QualityConfig) -> QualityScorer:
    """The chosen backend, ready to score pictures.

    Raises:
        BackendUnavailableError: it cannot run here.
    """
    match config.backend:
        case "classical":
            from curation.models.quality.classical import ClassicalScorer

            return ClassicalScorer(config.classical)
        case "clipiqa_nima_icnet":
            raise planned("clipiqa_nima_icnet", "image_scores.quality.backend=classical")
