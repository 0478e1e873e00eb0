"""A balanced choice: sides and labels in turn, and one sample of a video before a second one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from curation.contract.ids import generator
from eval.metrics.event_accuracy import Kind


@dataclass(frozen=True)
class Candidate:
    """A strict sample with the first region box that its object crosses. `seconds` and `frame` are of the source."""

    sample_id: str
    video_id: str
    object_id: str
    kind: Kind
    side: str
    label: str
    region_box: tuple[int, int, int, int]
    event_frame: int


def choose(candidates: Sequence[Candidate], most: int, seed: int) -> list[Candidate]:
    """At most `most` candidates of one kind, in the order in which they were chosen.

    Each time the one is taken whose side, then video, then label has been taken least often; ties are drawn by seed.
    """
    order = generator(seed, "benchmark").permutation(len(candidates))
    left = [sorted(candidates, key=lambda item: item.sample_id)[index] for index in order]
    sides: Counter[str] = Counter()
    videos: Counter[str] = Counter()
    labels: Counter[str] = Counter()
    chosen: list[Candidate] = []
    while left and len(chosen) < most:
        best = min(left, key=lambda item: (videos[item.video_id], sides[item.side], labels[item.label]))
        left.remove(best)
        chosen.append(best)
        sides[best.side] += 1
        videos[best.video_id] += 1
        labels[best.label] += 1
    return chosen
