"""Where an object's points must be, judged from its mask alone: for objects of which no point is seen."""

from collections.abc import Sequence

import cv2
import numpy as np

from curation.contract.mask_tube import Masks, MaskTube

_MAIN = 0.25
"""Share of the largest part of a mask that another part must have to count."""


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

    def step(self, body: int, last: int, now: int) -> np.ndarray:
        """How far the object's mask went between two frames, float64 [2] px; 0 along an axis of which nothing is known.

        The smaller step of two edges is the object's: the other edge may have come out from behind something.
        """
        before, after = self._edges(body, last), self._edges(body, now)
        if before is None or after is None:
            return np.zeros(2)
        steps = np.nan_to_num(after - before, nan=np.inf)
        smaller = np.take_along_axis(steps, np.abs(steps).argmin(axis=1)[:, None], axis=1)[:, 0]
        return np.where(np.isfinite(smaller), smaller, 0.0)

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
    """float64 [T, 4] half-open boxes around the main parts of bool [T, h, w] masks; nan where empty.

    A piece that was left behind at what hid the object would put the edges far from it.
    """
    if not isinstance(masks, MaskTube):
        return np.array([_main_box(mask) for mask in masks], np.float64).reshape(-1, 4)
    corners = [[0, 0] if box is None else box[:2] for box in masks.boxes]
    inside = [_main_box(masks.crop(frame)) for frame in range(len(masks))]
    return np.array(inside, np.float64).reshape(-1, 4) + np.tile(np.array(corners).reshape(-1, 2), 2)


def _main_box(mask: np.ndarray) -> list[float]:
    """Half-open box around the largest parts of a bool [h, w] mask, px; nan when it is empty."""
    if not mask.any():
        return [np.nan] * 4
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    main = stats[1:][areas >= _MAIN * areas.max()]
    low = main[:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP]]
    high = low + main[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    return [*low.min(axis=0), *high.max(axis=0)]
