"""Image quality backends."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from curation.models.alternative import or_choose
from curation.models.quality.classical import ClassicalConfig
from curation.models.quality.icnet import IcNetConfig
from curation.models.quality.protocol import QualityScorer
from curation.models.quality.pyiqa_metrics import PyIqaConfig


class QualityConfig(Config):
    backend: Literal["classical", "clipiqa_nima_icnet"] = Field(
        default="classical",
        description="classical: measures of the picture, no weights; clipiqa_nima_icnet: the recipe's networks "
        "(non-commercial)",
    )
    classical: ClassicalConfig = ClassicalConfig()
    pyiqa: PyIqaConfig = PyIqaConfig()
    icnet: IcNetConfig = IcNetConfig()


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
            from curation.models.quality.learned import LearnedScorer

            with or_choose("image_scores.quality.backend=classical"):
                return LearnedScorer(config.pyiqa, config.icnet)
