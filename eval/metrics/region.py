"""The scale that metrics are compared at: the region box becomes 256 x 384 px, and the canvas grows with it."""

from typing import NamedTuple

import cv2
import numpy as np

Box = tuple[int, int, int, int]


class RegionScale(NamedTuple):
    """Scaled px per canvas px. The published evaluation scales each canvas so that its region box has one size.

    Attributes:
        across, down: for x and y.
    """

    across: float
    down: float


def region_scale(box: Box, size: tuple[int, int]) -> RegionScale:
    """For a region box [x0, y0, x1, y1] in canvas px that becomes `size` (height, width).

    Raises:
        ValueError: the box holds no pixel.
    """
    width, height = box[2] - box[0], box[3] - box[1]
    if width <= 0 or height <= 0:
        raise ValueError(f"region box {list(box)} holds no pixel")
    return RegionScale(size[1] / width, size[0] / height)


def region_masks(masks: np.ndarray, box: Box, size: tuple[int, int]) -> np.ndarray:
    """bool [T, h, w]: canvas masks bool [T, H, W] inside the region box, at `size` (h, w).

    A scaled pixel is set when the canvas pixel under its centre is.
    """
    inside = np.asarray(masks)[:, box[1] : box[3], box[0] : box[2]].astype(np.uint8)
    height, width = size
    return np.stack([cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT) for mask in inside]) > 0


def region_pictures(frames: np.ndarray, box: Box, size: tuple[int, int]) -> np.ndarray:
    """uint8 [T, h, w, 3]: canvas frames uint8 [T, H, W, 3] cut to the region box, at `size` (h, w)."""
    height, width = size
    inside = frames[:, box[1] : box[3], box[0] : box[2]]
    shrinks = width * height < inside.shape[1] * inside.shape[2]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.stack([cv2.resize(frame, (width, height), interpolation=how) for frame in inside])
