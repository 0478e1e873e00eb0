"""Trajectories as people give them, a few points with or without times, at every frame of the video.

Between points of known time, those without one are placed by the length of the line, so that the speed is even. A
trajectory exists from its first to its last time; outside of that it is not drawn, as an object that is not there.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

# A time that is off by less than this share of a frame is taken for that frame.
_TOLERANCE = 1e-3


def sample_trajectory(
    points: Sequence[Sequence[float]], times: Sequence[float | None], num_frames: int, fps: float
) -> np.ndarray:
    """The position at every frame.

    Args:
        points: (x, y) in px, two at least.
        times: s from the first frame for each point, rising; None for points to be spread evenly by length, which the
            first and the last cannot be.
        num_frames, fps: of the video.

    Returns:
        float64 [num_frames, 2] px; NaN before the first and after the last time.

    Raises:
        ValueError: times do not rise, or are not as many as the points.
    """
    places = np.asarray(points, np.float64)
    at = fill_times(places, times) * fps
    frames = np.arange(num_frames, dtype=np.float64)
    sampled = np.stack([np.interp(frames, at, places[:, axis]) for axis in (0, 1)], axis=1)
    sampled[(frames < at[0] - _TOLERANCE) | (frames > at[-1] + _TOLERANCE)] = np.nan
    return sampled


def fill_times(points: Sequence[Sequence[float]] | np.ndarray, times: Sequence[float | None]) -> np.ndarray:
    """float64 [P] s: every time; missing ones by length between their neighbours.

    Args, raises: as `sample_trajectory`.
    """
    places = np.asarray(points, np.float64)
    if len(places) != len(times):
        raise ValueError(f"{len(places)} points but {len(times)} times")
    moments = np.array([np.nan if time is None else time for time in times], np.float64)
    anchors = np.flatnonzero(np.isfinite(moments))
    if np.any(np.diff(moments[anchors]) <= 0):
        raise ValueError(f"times must rise from point to point, got {[float(time) for time in moments[anchors]]}")
    steps = np.hypot(*np.diff(places, axis=0).T)
    for first, last in pairwise(anchors):
        lengths = np.concatenate([[0.0], np.cumsum(steps[first:last])])
        # Points on one spot have no length to go by: they share the time evenly.
        shares = lengths / lengths[-1] if lengths[-1] > 0 else np.linspace(0, 1, last - first + 1)
        moments[first : last + 1] = moments[first] + shares * (moments[last] - moments[first])
    return moments
