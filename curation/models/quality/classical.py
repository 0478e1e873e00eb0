"""Classical image measures, under their own names: what can be said of a picture without a learned model."""

import cv2
import numpy as np
from pydantic import Field

from curation.contract.config import Config

_BLACK, _WHITE = 5, 250  # luma levels from which on a pixel counts as clipped
_EDGE_SIDE = 512  # edges are counted at 512 x 512, the input size of ICNet (Feng et al. 2022), the learned counterpart


class ClassicalConfig(Config):
    full_contrast: float = Field(
        default=64.0, gt=0, description="standard deviation of luma that earns full marks, levels"
    )
    half_sharpness: float = Field(default=100.0, gt=0, description="clarity that earns half marks, levels^2")
    canny_low: float = Field(default=100.0, description="Canny's hysteresis thresholds on 8-bit luma gradients")
    canny_high: float = Field(default=200.0, description="see canny_low")


class ClassicalScorer:
    """QualityScorer of four measures.

    clarity: variance of the Laplacian of luma (Pech-Pacheco et al. 2000), level^2.
    classical_quality: in 0..1, the geometric mean of three parts, so that one bad part cannot be made up for:
        contrast = min(1, std(luma) / full_contrast),
        exposure = 1 - share of pixels clipped to black (luma <= 5) or white (>= 250),
        sharpness = clarity / (clarity + half_sharpness).
    colourfulness: Hasler and Suesstrunk 2003, equation for M3, levels; 0 for greys, about 100 for vivid pictures.
    edge_complexity: share of pixels on Canny edges at 512 x 512, in 0..1.
    """

    def __init__(self, config: ClassicalConfig | None = None) -> None:
        self.name = "classical-1"
        self.columns: tuple[str, ...] = ("clarity", "classical_quality", "colourfulness", "edge_complexity")
        self.config = config or ClassicalConfig()

    def scores(self, picture: np.ndarray) -> dict[str, float]:
        luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        sharp = clarity(luma)
        return {
            "clarity": sharp,
            "classical_quality": self._quality(luma, sharp),
            "colourfulness": _colourfulness(picture),
            "edge_complexity": self._edges(luma),
        }

    def _quality(self, luma: np.ndarray, sharp: float) -> float:
        contrast = min(1.0, float(luma.std()) / self.config.full_contrast)
        exposure = 1.0 - float(((luma <= _BLACK) | (luma >= _WHITE)).mean())
        sharpness = sharp / (sharp + self.config.half_sharpness)
        return (contrast * exposure * sharpness) ** (1 / 3)

    def _edges(self, luma: np.ndarray) -> float:
        shrinks = max(luma.shape) > _EDGE_SIDE
        square = cv2.resize(
            luma, (_EDGE_SIDE, _EDGE_SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        return float((cv2.Canny(square, self.config.canny_low, self.config.canny_high) > 0).mean())


def clarity(luma: np.ndarray) -> float:
    """Variance of the Laplacian of uint8 [H, W] luma, level^2 (Pech-Pacheco et al. 2000)."""
    return float(cv2.Laplacian(luma, cv2.CV_64F).var())


def _colourfulness(picture: np.ndarray) -> float:
    """M3 = sigma + 0.3 mu over the opponent axes rg = R - G and yb = (R + G) / 2 - B."""
    red, green, blue = np.moveaxis(picture.astype(np.float32), 2, 0)
    opponents = np.stack([red - green, (red + green) / 2 - blue]).reshape(2, -1)
    spread = np.hypot(*opponents.std(axis=1))
    offset = np.hypot(*opponents.mean(axis=1))
    return float(spread + 0.3 * offset)
