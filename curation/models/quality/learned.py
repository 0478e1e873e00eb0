"""The recipe's image scores: CLIP-IQA+, NIMA and ICNet, and clarity, which is no network's (step 3)."""

import cv2
import numpy as np

from curation.models.quality.classical import clarity
from curation.models.quality.icnet import IcNet, IcNetConfig
from curation.models.quality.pyiqa_metrics import METRICS, PyIqaConfig, PyIqaMetrics


class LearnedScorer:
    """QualityScorer."""

    def __init__(self, pyiqa: PyIqaConfig, icnet: IcNetConfig) -> None:
        self._metrics = PyIqaMetrics(pyiqa)
        self._icnet = IcNet(icnet)
        self.name = f"{self._metrics.name}; {self._icnet.name}"
        self.columns: tuple[str, ...] = ("clarity", *METRICS, "complexity")

    def scores(self, picture: np.ndarray) -> dict[str, float]:
        """See QualityScorer."""
        return {
            "clarity": clarity(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)),
            **self._metrics.scores(picture),
            "complexity": self._icnet.complexity(picture),
        }
