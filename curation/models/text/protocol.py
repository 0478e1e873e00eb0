"""Text detection: how much of a frame is covered by letters."""

from typing import Protocol

import numpy as np


class TextDetector(Protocol):
    name: str
    """Backend and revision, for the manifests."""

    def area(self, picture: np.ndarray) -> float:
        """Share of an RGB uint8 [H, W, 3] picture covered by the union of the detected text polygons, in 0..1."""
        ...
