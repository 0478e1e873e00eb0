"""Brightness changes of the camera or the light, taken out before frames are compared.

Auto exposure, flicker and white balance multiply all levels of a channel by one gain per frame. The background of a
clip is a median over its frames, so without this a slow drift counts as noise everywhere, and hides objects.
"""

import cv2
import numpy as np

from curation.models.objects.stabilise import CameraPath

_GRID_STEP = 6  # px between the points that are compared
_LEAST_OVERLAP = 0.5  # share of the grid that a frame and its key frame must both show
_LEAST_LEVEL, _MOST_LEVEL = 16, 245  # levels that say something about the gain
_CHANGED = 0.01  # a gain nearer to 1 is left alone: rounding again would only add noise


def even_exposure(frames: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """uint8 [T, h, w, 3] frames at the exposure of the first one; the same array when the exposure never changes."""
    if np.abs(gains - 1).max() < _CHANGED:
        return frames
    even = np.empty_like(frames)
    for index, gain in enumerate(gains):
        even[index] = at_gain(frames[index], gain)
    return even


def at_gain(picture: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """A picture (uint8 [h, w, 3], or a part of one) with the gain [3] of its channels taken out."""
    if np.abs(gain - 1).max() < _CHANGED:
        return picture
    table = np.clip(np.rint(np.arange(256.0)[:, None] / gain), 0, 255).astype(np.uint8)
    return cv2.LUT(picture, table[None])


def exposure_gains(frames: np.ndarray, path: CameraPath) -> np.ndarray:
    """float64 [T, 3]: levels of each frame's channels, relative to the first frame's, where they show the same place.

    Each frame is compared with a key frame, and keys with one another only when the camera has travelled on, so that
    errors do not add up.
    """
    height, width = frames.shape[1:3]
    ys, xs = np.mgrid[_GRID_STEP // 2 : height : _GRID_STEP, _GRID_STEP // 2 : width : _GRID_STEP]
    grid = np.stack([xs.ravel(), ys.ravel()], axis=1).astype(np.float64)[:, None]
    gains = np.ones((len(frames), 3))
    key, key_levels = 0, _smooth(frames[0])
    for index in range(1, len(frames)):
        levels = _smooth(frames[index])
        ratio = _ratio(levels, key_levels, grid, None if path.still else path.between(index, key))
        if ratio is None and key != index - 1:
            key, key_levels = index - 1, _smooth(frames[index - 1])
            ratio = _ratio(levels, key_levels, grid, None if path.still else path.between(index, key))
        gains[index] = gains[index - 1] if ratio is None else gains[key] * ratio
    return gains


def _smooth(frame: np.ndarray) -> np.ndarray:
    return cv2.blur(frame, (5, 5))


def _ratio(levels: np.ndarray, key: np.ndarray, grid: np.ndarray, to_key: np.ndarray | None) -> np.ndarray | None:
    """Median ratio [3] of a frame's levels to its key's at the same places; None when they share too little."""
    height, width = levels.shape[:2]
    there = grid if to_key is None else cv2.perspectiveTransform(grid, to_key)
    cells = np.rint(there[:, 0]).astype(int)
    inside = np.all((cells >= 0) & (cells < (width, height)), axis=1)
    if np.count_nonzero(inside) < _LEAST_OVERLAP * len(grid):
        return None
    here = grid[inside, 0].astype(int)
    a = levels[here[:, 1], here[:, 0]].astype(np.float64)
    b = key[cells[inside, 1], cells[inside, 0]].astype(np.float64)
    ratio = np.ones(3)
    for channel in range(3):
        usable = (np.minimum(a, b)[:, channel] > _LEAST_LEVEL) & (np.maximum(a, b)[:, channel] < _MOST_LEVEL)
        if np.count_nonzero(usable) >= 50:
            ratio[channel] = np.median(a[usable, channel] / b[usable, channel])
    return ratio
