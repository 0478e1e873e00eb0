"""Wipes: a border sweeps across the frame and leaves the next shot behind it.

TransNet V2 gives them next to no probability. But over time the border draws a line: marked by where and when the
picture changes, every column (or row) changes once, abruptly, over its whole height, one after the other. So a Hough
transform of that drawing finds wipes: their direction, first frame and duration.

Things that cross the frame draw no line, because they leave most of a column as it is; a moving camera does not either,
because what only moved is no change. What covers whole columns of one shot, a post or a passer-by close to the lens,
draws two lines side by side, one where it comes and one where it goes, and a wipe only one; and what is narrow leaves
no change that lasts.
"""

from collections import deque
from typing import NamedTuple

import numpy as np

from curation.models.shots.patches import unmatched
from curation.models.shots.protocol import Transition

_LAG = 3  # frames between the pictures that are compared
_LASTING = 8  # and between those that tell whether the change lasts: a post passes in less
_SHIFT = 3  # pixels that things may have moved in that time: a fast pan at 48 columns
_CHANGED_SHARE = 0.65  # of a column: a wipe changes more than that, unless the shots are alike
_SIDES = (4, 5, 6)  # frames before and after a change at which a column is calm again
_NOISE = 4.0  # levels; changes well below leave no mark
_SEEN = 0.25  # contrast from which a column counts as part of a line
_DURATIONS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 23, 26, 29, 32, 36, 40, 45, 50, 56, 62)
_SHORTEST = 6  # frames; what is faster is a cut or a step of exposure
# Measured on 63 rendered wipes and 90 other clips: wipes reach .30 to .90 but for three of .1 to .2, other lines .15
# unless there are two; the second is .03 of a wipe's and .7 to 1 of a post's and a passer-by's.
_LEAST = 0.2
_RIVAL = 0.4


class _Line(NamedTuple):
    """A border that needs `duration` frames from one side of the frame to the other, from frame `start` on."""

    strength: float
    start: int
    duration: int
    rival: float

    @property
    def end(self) -> int:
        return self.start + self.duration


class WipePass:
    """One video going by. Holds nine small frames, and 150 bytes for each frame seen."""

    def __init__(self) -> None:
        self._frames: deque[np.ndarray] = deque(maxlen=_LASTING + 1)
        self._sudden, self._lasting = _Changes(), _Changes()

    def add(self, frame_rgb: np.ndarray) -> None:
        """The next frame, uint8 [27, 48, 3] RGB."""
        self._frames.append(frame_rgb)
        self._sudden.add(self._frames[max(-1 - _LAG, -len(self._frames))], frame_rgb)
        self._lasting.add(self._frames[0], frame_rgb)

    def finish(self) -> list[Transition]:
        """The wipes in order, apart from each other."""
        if not self._frames:
            return []
        length = len(self._sudden.columns)
        lines = [
            *_lines(_both(self._sudden.columns, self._lasting.columns)),
            *_lines(_both(self._sudden.rows, self._lasting.rows)),
        ]
        taken: list[_Line] = []
        for line in sorted(lines, reverse=True):
            if all(line.end + 2 < other.start or other.end + 2 < line.start for other in taken):
                taken.append(line)
        wipes = [line for line in taken if line.duration >= _SHORTEST and line.rival < _RIVAL * line.strength]
        # A frame of margin on either side: a line's ends are exact to a frame, and mixed frames spoil a shot.
        return [
            Transition("gradual", max(line.start - 1, 0), min(line.end, length), line.strength)
            for line in sorted(wipes, key=lambda line: line.start)
        ]


class _Changes:
    """Levels by which most of each column [L] and of each row changes, frame by frame."""

    def __init__(self) -> None:
        self.columns: list[np.ndarray] = []
        self.rows: list[np.ndarray] = []

    def add(self, before: np.ndarray, after: np.ndarray) -> None:
        levels = unmatched(before, after, _SHIFT)
        height, width = levels.shape
        self.columns.append(np.sort(levels, axis=0)[round((1 - _CHANGED_SHARE) * height)])
        self.rows.append(np.sort(levels, axis=1)[:, round((1 - _CHANGED_SHARE) * width)])


def _both(sudden: list[np.ndarray], lasting: list[np.ndarray]) -> np.ndarray:
    """Changes that are sudden and last, uint8 [T, L]: the longer interval has the shorter one in its middle."""
    later = (_LASTING - _LAG) // 2
    return np.minimum(sudden, [*lasting[later:], *[np.full_like(lasting[0], 255)] * min(later, len(lasting))])


def _lines(changes: np.ndarray) -> list[_Line]:
    """All lines through the changes uint8 [T, L] of the columns, or rows, that are strong enough for a wipe."""
    contrast = _contrast(changes.astype(np.float32))
    found = []
    for forward in (True, False):
        strengths = {duration: _strengths(contrast, duration, forward) for duration in _DURATIONS}
        for duration, (strength, whole) in strengths.items():
            for index in np.flatnonzero((strength > _LEAST) & whole).tolist():
                start = index - duration
                rival = _rival(strengths, start, duration)
                found.append(_Line(float(strength[index]), start, duration, rival))
    return found


def _contrast(changes: np.ndarray) -> np.ndarray:
    """0..1, float32 [T, L]: how much a column changes over how much it does shortly before and after."""
    length, reach = len(changes), max(_SIDES)
    padded = np.pad(changes, ((reach, reach), (0, 0)), mode="edge")
    before = np.mean([padded[reach - side :][:length] for side in _SIDES], axis=0)
    after = np.mean([padded[reach + side :][:length] for side in _SIDES], axis=0)
    beside = np.maximum(before, after)
    return np.clip((changes - beside) / (changes + beside + _NOISE), 0, 1)


def _strengths(contrast: np.ndarray, duration: int, forward: bool) -> tuple[np.ndarray, np.ndarray]:
    """Of lines of one slope: mean contrast times share of the columns seen, float32, and whether all of the line is in
    the video, bool; [duration + T], by start from -duration on. 0 for lines of which less than half is in the video.
    """
    length, columns = contrast.shape
    place = (np.arange(columns) + 0.5) / columns
    delay = np.rint(duration * (place if forward else 1 - place)).astype(int)
    strength = np.zeros(duration + length, np.float32)
    seen, inside = np.zeros_like(strength), np.zeros_like(strength)
    for column in range(columns):
        # The line that starts at `start` meets this column at start + delay.
        at = slice(duration - delay[column], duration - delay[column] + length)
        strength[at] += contrast[:, column]
        seen[at] += contrast[:, column] > _SEEN
        inside[at] += 1
    strength *= seen / np.maximum(inside, 1) ** 2
    strength[2 * inside < columns] = 0
    return strength, inside == columns


def _rival(strengths: dict[int, tuple[np.ndarray, np.ndarray]], start: int, duration: int) -> float:
    """The strongest line of about the same slope beside this one, before or after it by at most 1.25 durations."""
    rival = 0.0
    for other, (strength, _) in strengths.items():
        if 0.75 * duration <= other <= 1.34 * duration:
            away = np.abs(np.arange(len(strength)) - other + other / 2 - (start + duration / 2))
            beside = strength[(away > _SHORTEST) & (away < 1.25 * duration)]
            rival = max(rival, float(beside.max(initial=0)))
    return rival
