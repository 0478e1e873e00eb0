"""Half-open frame spans and pixel coordinates: the arithmetic that every stage shares.

A span [start, end) counts frames. A point is continuous pixels with integer values at pixel *centres*
(OpenCV's convention), x right, y down. A box is `[x0, y0, x1, y1]`, half open like a span: it covers the pixels
x0 <= x < x1, y0 <= y < y1.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np


class Span(NamedTuple):
    """Half-open range of frames [start, end)."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return max(0, self.end - self.start)

    def intersect(self, other: "Span") -> "Span":
        start = max(self.start, other.start)
        return Span(start, max(start, min(self.end, other.end)))

    def contains(self, frame: int) -> bool:
        return self.start <= frame < self.end


def true_spans(marked: np.ndarray) -> list[Span]:
    """Maximal spans of true values of a bool [T] array, in order."""
    edges = np.flatnonzero(np.diff(marked, prepend=False, append=False))
    return [Span(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def split_span(span: Span, longest: int) -> list[Span]:
    """Cut a span into the fewest nearly equal sections of at most `longest` frames."""
    if span.length <= longest:
        return [span]
    count = -(-span.length // longest)
    edges = [span.start + span.length * i // count for i in range(count + 1)]
    return [Span(a, b) for a, b in pairwise(edges)]


def scale_points(points: np.ndarray, scale_x: float, scale_y: float) -> np.ndarray:
    """Points [..., 2] moved from one picture size to another whose sides are `scale` times as long.

    Pixel centres are integers, so the picture's corner sits at -0.5: x' = (x + 0.5) * s - 0.5.
    """
    factors = np.array([scale_x, scale_y], dtype=np.float64)
    return ((np.asarray(points, dtype=np.float64) + 0.5) * factors - 0.5).astype(np.float32)


def scale_box(box: list[int], scale_x: float, scale_y: float, width: int, height: int) -> list[int]:
    """A half-open box scaled outwards to whole pixels and clipped to a width x height picture."""
    x0, y0, x1, y1 = box
    return [
        max(0, int(np.floor(x0 * scale_x))),
        max(0, int(np.floor(y0 * scale_y))),
        min(width, int(np.ceil(x1 * scale_x))),
        min(height, int(np.ceil(y1 * scale_y))),
    ]


def mask_box(mask: np.ndarray) -> list[int] | None:
    """Smallest half-open box around the true pixels of a [H, W] mask; None when it is empty."""
    columns = np.flatnonzero(mask.any(axis=0))
    if columns.size == 0:
        return None
    rows = np.flatnonzero(mask.any(axis=1))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
