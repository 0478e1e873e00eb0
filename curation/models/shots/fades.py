"""Fades through one colour: the picture loses its contrast, frame after frame, and another one gains its own.

After Lienhart 1999, "Comparison of automatic shot boundary detection algorithms", section 2.3: between the two there
are blank frames, and around them the standard deviation of the levels falls and rises. TransNet V2 takes short ones for
the steps of brightness that they are made of.
"""

from collections.abc import Set
from itertools import takewhile

import numpy as np

from curation.contract.spans import true_spans
from curation.models.shots.protocol import Transition

_BLANK = 1.5  # levels of spread below which there is nothing to see
_PICTURE = 5.0  # levels of spread that a picture has at least
_REACH = 4  # frames over which the spread must grow: noise hides the growth from one to the next
_GROWTH, _NOISE = 1.02, 0.5
_FULL = 0.97  # of the largest spread: from there on nothing is mixed
_LEAST_STEPS = 2  # frames of one side that are the frame before with another gain: what covers a lens is not


def find_fades(spreads: np.ndarray, exposure_steps: Set[int]) -> list[Transition]:
    """The fades in order, apart from each other.

    Args:
        spreads: float [T], standard deviation of the levels in every frame, 0..128.
        exposure_steps: frames that differ from the one before in brightness and little else.
    """
    found: list[Transition] = []
    for blank in true_spans(spreads < _BLANK):
        start, end = blank.start - _mixed(spreads[: blank.start][::-1]), blank.end + _mixed(spreads[blank.end :])
        if start == 0 or end == len(spreads) or min(spreads[start - 1], spreads[end]) < _PICTURE:
            continue  # a video that begins or ends with it has no other shot there
        sides = range(start, blank.start), range(blank.end + 1, end + 1)
        if max(sum(frame in exposure_steps for frame in side) for side in sides) >= _LEAST_STEPS:
            found.append(Transition("gradual", start, end, 1 - float(spreads[blank.start]) / _BLANK))
    return found


def _mixed(spreads: np.ndarray) -> int:
    """How many of the frames next to a blank one, of which `spreads` [N] tells, are on their way to a picture."""
    grows = takewhile(
        lambda at: spreads[at : at + _REACH + 1].max() > _GROWTH * spreads[at] + _NOISE, range(len(spreads))
    )
    last = max(grows, default=-1) + 1
    near = spreads[: last + 1]
    return int(np.argmax(near >= _FULL * near.max())) if len(near) else 0
