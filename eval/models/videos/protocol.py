"""Features of whole videos."""

from typing import Protocol

import numpy as np


class VideoFeatures(Protocol):
    name: str
    """Backend and revision, for the scores."""

    def describe(self, frames: np.ndarray) -> np.ndarray:
        """float32 [D] of one video, uint8 [T, h, w, 3] RGB, T at least 2."""
        ...
