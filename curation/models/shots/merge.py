"""One list of transitions from what several detectors found in one video."""

from collections.abc import Sequence
from dataclasses import replace

from curation.models.shots.protocol import Transition

_SAME_CUT = 2  # frames


def merge_transitions(
    learned: Sequence[Transition],
    cuts: Sequence[Transition],
    dissolves: Sequence[Transition],
    exact: Sequence[Transition],
) -> list[Transition]:
    """All of them in order, apart from each other.

    Wipes and fades through a colour are known to a frame, so what else is reported there gives way. Parts of one
    dissolve are joined, and cuts within it dropped: the network reports them at the frame at which a slow one tips
    over.
    """
    gradual: list[Transition] = []
    for change in sorted([*learned, *dissolves], key=lambda change: change.start):
        if change.kind == "cut" or any(_meet(change, other, 0) for other in exact):
            continue
        if gradual and _meet(gradual[-1], change, 0):
            last = gradual[-1]
            gradual[-1] = replace(last, end=max(last.end, change.end), score=max(last.score, change.score))
        else:
            gradual.append(change)
    gradual += exact
    merged = [*gradual, *(cut for cut in learned if cut.kind == "cut" and not any(_meet(cut, g, 1) for g in gradual))]
    merged += [cut for cut in cuts if not any(_meet(cut, other, _SAME_CUT) for other in merged)]
    return sorted(merged, key=lambda change: change.start)


def _meet(one: Transition, other: Transition, margin: int) -> bool:
    """Whether they have a frame in common, or fewer than `margin` frames are between them."""
    return one.start < other.end + margin and other.start < one.end + margin
