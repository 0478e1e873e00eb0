"""Perceptual distance between frames."""

from typing import Protocol

import numpy as np


class PerceptualDistance(Protocol):
    name: str
    """Backend and revision, for the scores."""

    def distance(self, frames: np.ndarray, true_frames: np.ndarray) -> np.ndarray:
        """float64 [T], 0 where frames are equal, of uint8 [T, h, w, 3] RGB each."""
        ...
