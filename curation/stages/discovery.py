"""In which frames of a clip objects are looked for; the labelling pass keeps larger pictures of the same frames."""

from collections.abc import Sequence
from fractions import Fraction


def discovery_grid(length: int, fps: Fraction, starts: Sequence[int], seconds: float) -> list[int]:
    """Clip-relative frames: the start frames first, then one every `seconds`, and the last one. No duplicates."""
    step = max(1, round(seconds * float(fps)))
    return list(dict.fromkeys([*starts, *range(0, length, step), length - 1]))
