"""Where an object's points must be, judged from its mask alone: for objects of which no point is seen."""

from collections.abc import Sequence

import numpy as np

from curation.contract.mask_tube import Masks, MaskTube


class MaskAnchors:
    """Remembers how far each point was from the edges of its object's mask box, and places it by them later."""

    def __init__(self, masks: Sequence[Masks | None], points: int) -> None:
        self._boxes = [None if mask is None else _boxes(mask) for mask in masks]
        self._shapes = [None if mask is None else mask.shape[1:] for mask in masks]
        self._size = np.zeros((len(masks), 2))
        """Sides of the whole mask's box, px: a box that is smaller all at once is partly hidden."""
        self._offsets = np.full((points, 2, 2), np.nan)
        """[N, axis, (low, high)]: point minus that edge, px; nan before a whole mask was met."""

    def remember(self, now: int, index: np.ndarray, body: np.ndarray, places: np.ndarray) -> None:
        """Points `index` [N] of objects `body` [N] are seen at `places` [N, 2] in frame `now`."""
        for one in np.unique(body):
            edges = self._edges(one, now)
            if edges is None or np.isnan(edges).any():
                continue
            size = edges[:, 1] - edges[:, 0]
            self._size[one] = np.maximum(size, 0.98 * self._size[one])
            if (size >= 0.9 * self._size[one]).all():
                mine = body == one
                self._offsets[index[mine]] = places[mine, :, None] - edges

    def place(self, now: int, index: np.ndarray, body: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Places [N, 2] by the mask of frame `now`; `expected` [N, 2] where that says nothing.

        Along each axis both edges speak; when they disagree, part of the object is hidden and the one that fits
        what was expected is believed.
        """
        placed = expected.copy()
        for one in np.unique(body):
            edges = self._edges(one, now)
            if edges is None:
                continue
            mine = np.flatnonzero(body == one)
            guesses = edges + self._offsets[index[mine]]
            for axis in range(2):
                placed[mine, axis] = _agree(guesses[:, axis], expected[mine, axis])
        return placed

    def _edges(self, body: int, now: int) -> np.ndarray | None:
        """[axis, (low, high)] edges of the mask box, nan where the frame cuts the object; None without a mask."""
        boxes, shape = self._boxes[body], self._shapes[body]
        if boxes is None or shape is None or np.isnan(boxes[now, 0]):
            return None
        x0, y0, x1, y1 = boxes[now]
        height, width = shape
        return np.array(
            [
                [x0 if x0 > 0 else np.nan, x1 if x1 < width else np.nan],
                [y0 if y0 > 0 else np.nan, y1 if y1 < height else np.nan],
            ]
        )


def _agree(guesses: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """One coordinate of points [N] from what the low and the high edge say, [N, 2]; nan says nothing."""
    low, high = guesses[:, 0], guesses[:, 1]
    only_low, only_high = np.isnan(high), np.isnan(low)
    nearer = np.where(np.abs(low - expected) <= np.abs(high - expected), low, high)
    both = np.where(np.abs(low - high) <= 6.0, (low + high) / 2, nearer)
    value = np.where(only_low, low, np.where(only_high, high, both))
    return np.where(np.isnan(value), expected, value)


def _boxes(masks: Masks) -> np.ndarray:
    """float64 [T, 4] half-open boxes around bool [T, h, w] masks; nan where empty."""
    if isinstance(masks, MaskTube):
        return np.array([box or [np.nan] * 4 for box in masks.boxes], np.float64).reshape(-1, 4)
    columns, rows = np.any(masks, axis=1), np.any(masks, axis=2)
    height, width = masks.shape[1:]
    boxes = np.stack(
        [
            columns.argmax(axis=1),
            rows.argmax(axis=1),
            width - columns[:, ::-1].argmax(axis=1),
            height - rows[:, ::-1].argmax(axis=1),
        ],
        axis=1,
    ).astype(np.float64)
    boxes[~columns.any(axis=1)] = np.nan
    return boxes
