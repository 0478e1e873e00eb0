"""Image scores of a single frame."""

from typing import Protocol

import numpy as np


class QualityScorer(Protocol):
    name: str
    """Backend and revision, for the manifests."""
    columns: tuple[str, ...]
    """The columns of `clips` that it fills; learned models and classical measures never share one."""

    def scores(self, picture: np.ndarray) -> dict[str, float]:
        """Scores of an RGB uint8 [H, W, 3] picture, one per column."""
        ...
