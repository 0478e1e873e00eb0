"""Which frames of the ground truth and of a generated video are compared."""

from typing import NamedTuple

import numpy as np


class Alignment(NamedTuple):
    """Attributes:
    truth, generated: frames to compare, ascending, of equal number; those of the truth count from the sample's start.
    spacing: generated frames from one compared frame to the next, on average.
    """

    truth: list[int]
    generated: list[int]
    spacing: float


def align(truth_frames: int, generated_frames: int, step: float | None, most: int) -> Alignment:
    """At most `most` evenly spaced frames, shown at the same time in both videos.

    Args:
        step: source frames for each generated frame. None where the generated video's rate is unknown (another
            tool's output): then both are taken to last equally long, as in the release.
    """
    if step is None:
        count = min(most, truth_frames, generated_frames)
        truth, generated = _spread(truth_frames, count), _spread(generated_frames, count)
    else:
        there = np.round(np.arange(generated_frames) * step).astype(int)
        there = there[there < truth_frames]
        generated = _spread(len(there), min(most, len(there)))
        truth = there[generated]
    spacing = (generated[-1] - generated[0]) / max(1, len(generated) - 1) if len(generated) else 1.0
    return Alignment([int(i) for i in truth], [int(i) for i in generated], float(max(spacing, 1e-9)))


def _spread(frames: int, count: int) -> np.ndarray:
    return np.linspace(0, frames - 1, count).round().astype(int)
