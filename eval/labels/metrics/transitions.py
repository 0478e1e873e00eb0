"""Which shot changes were found (after TRECVID's shot boundary task): one-to-one, within a tolerance."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from eval.labels.truth import TransitionTruth

TOLERANCE = 2


class Boundary(NamedTuple):
    """A reported shot change: first frame of the new shot, and `cut` or `gradual`."""

    frame: int
    kind: str


def match_transitions(
    found: Sequence[Boundary], truth: Sequence[TransitionTruth]
) -> list[tuple[Boundary | None, TransitionTruth | None]]:
    """Pairs of what was found and what is true; None for the missing partner of a false or a missed one.

    A boundary fits a transition when it lies within it or at most `TOLERANCE` frames away, whatever kind it was
    reported as. As many as possible are paired, nearest first.
    """
    cost = np.full((len(found), len(truth)), 1e6)
    for i, boundary in enumerate(found):
        for j, item in enumerate(truth):
            away = max(item.first - boundary.frame, boundary.frame - (item.last + (item.kind != "cut")), 0)
            if away <= TOLERANCE:
                cost[i, j] = away
    pairs: list[tuple[Boundary | None, TransitionTruth | None]] = []
    rows, columns = linear_sum_assignment(cost)
    taken = [(i, j) for i, j in zip(rows.tolist(), columns.tolist(), strict=True) if cost[i, j] < 1e6]
    pairs += [(found[i], truth[j]) for i, j in taken]
    pairs += [(found[i], None) for i in range(len(found)) if i not in {i for i, _ in taken}]
    pairs += [(None, truth[j]) for j in range(len(truth)) if j not in {j for _, j in taken}]
    return pairs
