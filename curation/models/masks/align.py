"""Where the remembered look of an object fits a frame best."""

import cv2
import numpy as np

from curation.contract.spans import mask_box
from curation.models.masks.windows import Window

_LEAST_SIDE, _LEAST_PX = 6, 40  # of what is compared
_PULL = 4.0  # squared difference, per squared px, that keeps to the expected motion where the picture does not say


def aligned(scene: np.ndarray, look: np.ndarray, visible: np.ndarray, window: Window, moved: np.ndarray) -> np.ndarray:
    """The motion near `moved` at which what was visible fits best; `moved` where too little is to compare.

    Args:
        scene: uint8 [H, W, 3], the whole frame.
        look, visible: uint8 [h, w, 3] and uint8 [h, w] of 0 and 1, of the frame's part `window`, a frame ago.
        moved: float64 [2], px.

    Returns:
        float64 [2], px.
    """
    box = mask_box(visible > 0)
    if box is None:
        return moved
    x0, y0, x1, y1 = box
    reach = 3 + int(0.2 * np.hypot(*moved))
    x, y = np.round(moved).astype(int)
    left, top = window.columns.start + x - reach, window.rows.start + y - reach
    x0, y0 = max(x0, -left), max(y0, -top)
    x1 = min(x1, scene.shape[1] - left - 2 * reach)
    y1 = min(y1, scene.shape[0] - top - 2 * reach)
    if x1 - x0 < _LEAST_SIDE or y1 - y0 < _LEAST_SIDE:
        return moved
    weight = visible[y0:y1, x0:x1]
    if weight.sum() < _LEAST_PX:
        return moved
    part = scene[top + y0 : top + y1 + 2 * reach, left + x0 : left + x1 + 2 * reach]
    misses = cv2.matchTemplate(part, look[y0:y1, x0:x1], cv2.TM_SQDIFF, mask=np.repeat(weight[..., None], 3, axis=2))
    grid = np.arange(-reach, reach + 1)
    misses = misses / weight.sum() + _PULL * (grid[:, None] ** 2 + grid[None] ** 2)
    at_y, at_x = np.unravel_index(int(misses.argmin()), misses.shape)
    return np.array([x + grid[at_x], y + grid[at_y]], np.float64)
