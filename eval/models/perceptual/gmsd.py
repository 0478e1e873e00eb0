"""GMSD, gradient magnitude similarity deviation (Xue et al. 2014): a perceptual distance without a network."""

import cv2
import numpy as np

_CONSTANT = 170.0  # the paper's, for levels 0..255
_PREWITT = np.array([[1, 0, -1]] * 3, np.float32) / 3


class Gmsd:
    """A `PerceptualDistance`, 0..about 0.35."""

    name: str = "gmsd-1"

    def distance(self, frames: np.ndarray, true_frames: np.ndarray) -> np.ndarray:
        """See `PerceptualDistance.distance`."""
        return np.array([_gmsd(own, truth) for own, truth in zip(frames, true_frames, strict=True)])


def _gmsd(frame: np.ndarray, truth: np.ndarray) -> float:
    own, true = _gradient(frame), _gradient(truth)
    likeness = (2 * own * true + _CONSTANT) / (own**2 + true**2 + _CONSTANT)
    return float(likeness.std(dtype=np.float64))


def _gradient(frame: np.ndarray) -> np.ndarray:
    """float32 [h/2, w/2]: gradient magnitude of the luma at half size, as in the paper."""
    luma = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
    half = cv2.blur(luma, (2, 2))[::2, ::2]
    return np.hypot(cv2.filter2D(half, -1, _PREWITT), cv2.filter2D(half, -1, np.ascontiguousarray(_PREWITT.T)))
