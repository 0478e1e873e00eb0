"""The ID reference as the model sees it: the masked crop on a black canvas."""

import cv2
import numpy as np


def place_identity(crop: np.ndarray | None, canvas_size: tuple[int, int], legacy_stretch: bool = False) -> np.ndarray:
    """Put the crop in the middle of a black canvas, as large as fits.

    Args:
        crop: uint8 [h, w, 4] RGBA (transparent is black), or [h, w, 3] RGB already on black; None for no ID, which is
            an all-black canvas.
        canvas_size: (height, width).
        legacy_stretch: scale by canvas side over the crop's longer side along each axis, as the release does. On a
            canvas that is not square this distorts the object; the published weights were trained so.

    Returns:
        uint8 [height, width, 3] RGB.
    """
    height, width = canvas_size
    canvas = np.zeros((height, width, 3), np.uint8)
    if crop is None:
        return canvas
    picture = crop[..., :3]
    if crop.shape[2] == 4:
        picture = np.where(crop[..., 3:] > 0, picture, np.uint8(0))
    longest = max(picture.shape[:2])
    if legacy_stretch:
        down, across = height / longest, width / longest
    else:
        down = across = min(height / picture.shape[0], width / picture.shape[1])
    size = (max(1, int(picture.shape[1] * across)), max(1, int(picture.shape[0] * down)))
    # Area averaging where it shrinks; where it grows OpenCV's area mode falls back to what the release gets.
    resized = cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA)
    top, left = (height - resized.shape[0]) // 2, (width - resized.shape[1]) // 2
    canvas[top : top + resized.shape[0], left : left + resized.shape[1]] = resized
    return canvas
