"""GrabCut by box or clicks: no network, no weights.

From a box GrabCut starts as its authors do (Rother, Kolmogorov and Blake 2004). From clicks alone it needs a first
guess: pixels that are nearer to a click on the object than to the picture's border or a click off it, where a way is
the longer the more the colour changes along it (geodesic segmentation, Bai and Sapiro 2007).
"""

from collections.abc import Sequence

import cv2
import numpy as np
from skimage.graph import MCP_Geometric

from inference.segmentation import Box, ClickLike

_LONGEST = 320  # px; the work is done at this size: a second there, minutes at 12 megapixels
_ITERATIONS = 5
_SEED_RADIUS = 0.012  # of the longer side: what a click stands for, for sure
_STEP_COST = 2.0  # grey levels: how far a pixel of even colour counts
_MARGIN = 0.01  # of the longer side: this far inside a box, its sides are taken for ground


def grabcut(picture: np.ndarray, box: Box | None, clicks: Sequence[ClickLike]) -> np.ndarray:
    """See `Segmenter`."""
    height, width = picture.shape[:2]
    scale = min(1.0, _LONGEST / max(height, width))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
    small = np.ascontiguousarray(small)
    kept = _seeds(small.shape[:2], [click for click in clicks if click.keep], scale)
    dropped = _seeds(small.shape[:2], [click for click in clicks if not click.keep], scale) & ~kept

    state = np.full(small.shape[:2], cv2.GC_BGD, np.uint8)
    if box is not None:
        inside = _inside(small.shape[:2], box, scale)
        state[inside] = cv2.GC_PR_FGD
    else:
        inside = np.ones(small.shape[:2], bool)
        state[:] = cv2.GC_PR_BGD
        state[_nearer(small, kept, dropped)] = cv2.GC_PR_FGD
    state[kept] = cv2.GC_FGD
    state[dropped] = cv2.GC_BGD
    mask = _cut(small, state) & inside
    mask = _belonging(mask, kept) if kept.any() else _largest(mask)
    return cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) > 0.5


def _cut(picture: np.ndarray, state: np.ndarray) -> np.ndarray:
    """bool [h, w] after GrabCut; what it started from where one side is empty, which it cannot work on."""
    front = (state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD)
    if front.all() or not front.any():
        return front
    cv2.setRNGSeed(0)  # its colour models start from k-means
    state = state.copy()
    cv2.grabCut(picture, state, (0, 0, 0, 0), np.zeros((1, 65)), np.zeros((1, 65)), _ITERATIONS, cv2.GC_INIT_WITH_MASK)
    return (state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD)


def _seeds(size: tuple[int, int], clicks: Sequence[ClickLike], scale: float) -> np.ndarray:
    """bool [h, w]: discs at the clicks."""
    painted = np.zeros(size, np.uint8)
    radius = max(1, round(_SEED_RADIUS * max(size)))
    for click in clicks:
        cv2.circle(painted, (round(click.x * scale), round(click.y * scale)), radius, 1, -1)
    return painted.astype(bool)


def _inside(size: tuple[int, int], box: Box, scale: float) -> np.ndarray:
    """bool [h, w]: the box, at least one pixel of it, and never quite all of the picture."""
    height, width = size
    margin = max(1, round(_MARGIN * max(size)))
    x0 = min(max(round(box[0] * scale), 0), width - 1)
    y0 = min(max(round(box[1] * scale), 0), height - 1)
    x1 = max(min(round(box[2] * scale), width), x0 + 1)
    y1 = max(min(round(box[3] * scale), height), y0 + 1)
    if x1 - x0 == width and y1 - y0 == height and min(size) > 2 * margin + 1:
        # A box around everything leaves GrabCut no ground to learn from: the picture's rim is it.
        x0, y0, x1, y1 = margin, margin, width - margin, height - margin
    inside = np.zeros(size, bool)
    inside[y0:y1, x0:x1] = True
    return inside


def _nearer(picture: np.ndarray, kept: np.ndarray, dropped: np.ndarray) -> np.ndarray:
    """bool [h, w]: nearer to the clicks on the object than to those off it and to the border."""
    lab = cv2.cvtColor(cv2.GaussianBlur(picture, (0, 0), 1.0), cv2.COLOR_RGB2LAB).astype(np.float32)
    slopes = [cv2.Sobel(lab, cv2.CV_32F, *order, ksize=3, scale=1 / 8) for order in ((1, 0), (0, 1))]
    cost = _STEP_COST + np.sqrt(sum((slope**2).sum(axis=2) for slope in slopes))
    ground = dropped.copy()
    ground[[0, -1]] = ground[:, [0, -1]] = True
    return _distance(cost, kept) < _distance(cost, ground & ~kept)


def _distance(cost: np.ndarray, start: np.ndarray) -> np.ndarray:
    """float64 [h, w]: cost of the cheapest way from any pixel of `start`; infinite when there is none."""
    if not start.any():
        return np.full(cost.shape, np.inf)
    distances, _ = MCP_Geometric(cost).find_costs(np.argwhere(start).tolist())
    return distances


def _belonging(mask: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The connected parts of the mask in which somebody clicked."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8))
    chosen = np.unique(labels[kept & mask])
    return np.isin(labels, chosen[chosen > 0])


def _largest(mask: np.ndarray) -> np.ndarray:
    """The largest connected part of the mask."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if len(stats) == 1:
        return mask
    return labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
