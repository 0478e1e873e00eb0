"""Objects in single frames of a clip."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from curation.video.media import ClipFrames


@dataclass(frozen=True)
class Detection:
    """An object in one frame. `mask` is bool [h, w] at the clip's working size."""

    mask: np.ndarray
    label: str
    score: float


class ObjectDetector(Protocol):
    name: str
    """Backend and revision, for the manifests."""

    def detect(self, clip: ClipFrames, frames: Sequence[int]) -> dict[int, list[Detection]]:
        """Objects in each of the clip-relative `frames`; an empty list where there are none."""
        ...
