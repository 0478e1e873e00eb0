"""Which border crossings were found: one-to-one, of the same object, type and side, near in time."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from eval.labels.truth import EventTruth

TOLERANCE = 5  # frames, where the truth is exact
TOLERANCE_BY_HAND = 8  # where a person read it off: labels are good to about 2 frames, and slivers are hard to see


def match_events(
    found: Sequence[Mapping[str, Any]],
    truth: Sequence[EventTruth],
    names: Mapping[str, str],
    known: set[str],
    tolerance: int,
) -> list[tuple[Mapping[str, Any] | None, EventTruth | None]]:
    """Pairs of reported and true events; None for the missing partner of a false or a missed one.

    Args:
        found: rows of the events manifest.
        names: true name of every reported object that has one, by object_id.
        known: names of true objects with masks. An event of another object has no masks to tell it by: then type, side
            and time decide alone.
        tolerance: frames by which a report may be off.
    """
    cost = np.full((len(found), len(truth)), 1e6)
    for i, event in enumerate(found):
        for j, item in enumerate(truth):
            same = item.object not in known or names.get(event["object_id"]) == item.object
            away = abs(int(event["frame"]) - item.frame)
            fits = event["type"] == item.type and event["side"] == item.side
            if same and fits and away <= tolerance:
                cost[i, j] = away
    rows, columns = (axis.tolist() for axis in linear_sum_assignment(cost))
    taken = [(i, j) for i, j in zip(rows, columns, strict=True) if cost[i, j] < 1e6]
    pairs: list[tuple[Mapping[str, Any] | None, EventTruth | None]] = [(found[i], truth[j]) for i, j in taken]
    pairs += [(found[i], None) for i in range(len(found)) if i not in {i for i, _ in taken}]
    pairs += [(None, truth[j]) for j in range(len(truth)) if j not in {j for _, j in taken}]
    return pairs
