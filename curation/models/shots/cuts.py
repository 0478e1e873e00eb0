"""Cuts that TransNet V2 overlooks: from one plain place to another one of about the same colour.

From one frame to the next the picture is another one, and most of it is found nowhere near in the frame before, while
before and after that motion explains it.
"""

from collections import deque

import cv2
import numpy as np

from curation.models.shots.likeness import SAME_PLACE, likeness
from curation.models.shots.patches import unmatched
from curation.models.shots.protocol import Transition

_AROUND = 3  # pairs of frames before and after, which have to be calmer
_SHIFT = 2
_CHANGE = 4.0  # levels, on average, below which two frames are not looked at
_CHANGED_SHARE = 0.65
_LEVEL = 5.0
# (change - change around) / (change + change around + noise): .38 and more at 60 cuts, at most .11 at what else is that
# unlike the frame before (measured).
_CONTRAST, _NOISE = 0.25, 4.0


class CutPass:
    """One video going by. Holds eight small frames."""

    def __init__(self) -> None:
        self._frames: deque[np.ndarray] = deque(maxlen=2 * _AROUND + 2)
        self._count = 0
        self._found: list[Transition] = []

    def add(self, frame_rgb: np.ndarray) -> None:
        """The next frame, uint8 [h, w, 3] RGB."""
        if not self._frames:
            self._frames.extend([frame_rgb] * (2 * _AROUND + 1))
        self._frames.append(frame_rgb)
        self._count += 1
        if contrast := _contrast(list(self._frames)):
            cut = self._count - 1 - _AROUND
            self._found.append(Transition("cut", cut, cut, contrast))

    def finish(self) -> list[Transition]:
        """The cuts in order."""
        for _ in range(_AROUND if self._frames else 0):
            self.add(self._frames[-1])
        return self._found


def _contrast(frames: list[np.ndarray]) -> float:
    """How much the change in the middle of eight frames stands out; 0 if it is no cut."""
    before, after = frames[_AROUND : _AROUND + 2]
    if cv2.absdiff(before, after).mean() < _CHANGE or likeness(before, after)[0] > SAME_PLACE:
        return 0.0
    change = _level(before, after)
    around = max(_level(frames[i], frames[i + 1]) for i in range(2 * _AROUND + 1) if i != _AROUND)
    contrast = (change - around) / (change + around + _NOISE)
    return contrast if change >= _LEVEL and contrast > _CONTRAST else 0.0


def _level(before: np.ndarray, after: np.ndarray) -> float:
    """Levels that most of the picture changes by at least, motion apart."""
    return float(np.quantile(unmatched(before, after, _SHIFT), 1 - _CHANGED_SHARE))
