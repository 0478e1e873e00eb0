"""Seam visibility: whether the border of the region box shows in the finished video.

No benchmark reports it. The model is given the picture inside the box and makes up the rest; where the two do not fit
there is an edge along the box.
"""

import numpy as np

from eval.metrics.region import Box

_BESIDE = (2, 3, 4)  # px from the border at which the usual differences between neighbours are taken


def seam_visibility(luma: np.ndarray, box: Box) -> np.ndarray | None:
    """float64 [T], grey levels: how much more neighbouring px differ across the box's border than just beside it.

    Mean over the box's sides that lie inside the canvas, weighted by their lengths. On an even picture that is one
    grey level brighter outside, it is 1; without a seam, about 0. Take the ground truth's off: pictures have edges.

    Args:
        luma: [T, H, W], 0..255.
        box: [x0, y0, x1, y1], half open.

    Returns:
        None when the box is the whole canvas.
    """
    height, width = luma.shape[1:]
    x0, y0, x1, y1 = box
    rows, columns = luma, luma.transpose(0, 2, 1)
    sides = [
        (rows[:, y0:y1], x0, width),
        (rows[:, y0:y1], x1, width),
        (columns[:, x0:x1], y0, height),
        (columns[:, x0:x1], y1, height),
    ]
    seams = [(_step(part, at), part.shape[1]) for part, at, extent in sides if 0 < at < extent]
    if not seams:
        return None
    lengths = np.array([length for _, length in seams], np.float64)
    return np.average([seam for seam, _ in seams], axis=0, weights=lengths)


def _step(lines: np.ndarray, at: int) -> np.ndarray:
    """[T]: mean difference between the px at - 1 and at of lines [T, N, length], minus that of pairs beside it."""
    extent = lines.shape[2]
    places = [at + way * offset for offset in _BESIDE for way in (-1, 1)]
    beside = [_difference(lines, place) for place in places if 0 < place < extent]
    return _difference(lines, at) - np.mean(beside, axis=0)


def _difference(lines: np.ndarray, at: int) -> np.ndarray:
    """[T]: mean difference between the px at - 1 and at."""
    return np.abs(lines[..., at].astype(np.float64) - lines[..., at - 1]).mean(axis=1)
