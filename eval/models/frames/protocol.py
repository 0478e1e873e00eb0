"""Features of pictures."""

from typing import Protocol

import numpy as np


class FrameFeatures(Protocol):
    name: str
    """Backend and revision, for the scores."""

    def describe(self, pictures: np.ndarray) -> np.ndarray:
        """float32 [N, D] of pictures uint8 [N, h, w, 3] RGB, all of one size, any size."""
        ...
