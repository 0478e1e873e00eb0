"""Slow dissolves and fades, of which TransNet V2 sees little once they take longer than some 40 frames.

While two resting pictures are mixed, each frame is halfway between the frame so much earlier and the frame so much
later. Where things or the camera move, it is not.
"""

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np

from curation.models.shots.likeness import SAME_PLACE, likeness
from curation.models.shots.protocol import Transition

_REACH = 12  # frames before and after that are compared
_CHANGE = 3.0  # levels, on average, between the frame before and the frame after
_CHANGED_LEVELS, _CHANGED_SHARE = 5, 0.5  # a mixed picture changes nearly everywhere, an object's surroundings do not
_OFF_HALFWAY = 0.2  # mean distance of a frame from halfway, as a share of that change; a zoom comes down to 0.22
_MARGIN = 5  # frames from the first mixed one to the first that is so close to halfway
_BRIDGE = 12  # frames between halfway ones of one dissolve, in which an object or a hand moves
_LEAST_FRAMES = 8


@dataclass
class _Run:
    first: int
    last: int
    before: np.ndarray
    after: np.ndarray
    frames: int
    off_halfway: float


class DissolvePass:
    """One video going by. Holds 25 small frames."""

    def __init__(self) -> None:
        self._frames: deque[np.ndarray] = deque(maxlen=2 * _REACH + 1)
        self._count = 0
        self._run: _Run | None = None
        self._found: list[Transition] = []

    def add(self, frame_rgb: np.ndarray) -> None:
        """The next frame, uint8 [27, 48, 3] RGB."""
        self._frames.append(frame_rgb)
        self._count += 1
        if len(self._frames) < 2 * _REACH + 1:
            return
        before, middle, after = self._frames[0], self._frames[_REACH], self._frames[-1]
        off_halfway = _off_halfway(before, middle, after)
        if off_halfway > _OFF_HALFWAY:
            return
        now = self._count - 1 - _REACH
        if self._run is None or now - self._run.last > _BRIDGE:
            self._close()
            self._run = _Run(now, now, before, after, 0, off_halfway)
        self._run.last, self._run.after = now, after
        self._run.frames += 1
        self._run.off_halfway = min(self._run.off_halfway, off_halfway)

    def finish(self) -> list[Transition]:
        """The dissolves and fades in order, apart from each other."""
        self._close()
        return self._found

    def _close(self) -> None:
        run, self._run = self._run, None
        if run is None or run.frames < _LEAST_FRAMES or likeness(run.before, run.after)[0] > SAME_PLACE:
            return
        # At the u-th mixed frame the distance is (reach - u) / (2 reach + 2 u).
        start, end = run.first - _MARGIN, run.last + 1 + _MARGIN
        self._found.append(Transition("gradual", start, end, 1 - run.off_halfway))


def _off_halfway(before: np.ndarray, middle: np.ndarray, after: np.ndarray) -> float:
    """How far the middle frame is from halfway, as a share of the change; 1 where too little changes."""
    levels = cv2.absdiff(before, after)
    if levels.mean() < _CHANGE:
        return 1.0
    a, m, b = (cv2.blur(frame.astype(np.float32), (3, 3)) for frame in (before, middle, after))
    change = np.abs(b - a)
    if (change.max(axis=2) > _CHANGED_LEVELS).mean() < _CHANGED_SHARE:
        return 1.0
    return float(np.abs(m - (a + b) / 2).mean() / change.mean())
