"""What changes between two small frames, motion apart."""

import cv2
import numpy as np


def unmatched(before: np.ndarray, after: np.ndarray, shift: int) -> np.ndarray:
    """Levels, uint8 [h, w], by which the 3x3 patch around each pixel differs from the most similar one before.

    Args:
        before, after: uint8 [h, w, 3].
        shift: pixels by which a patch may have moved along each axis.
    """
    height, width = after.shape[:2]
    around = cv2.copyMakeBorder(before, shift, shift, shift, shift, cv2.BORDER_REPLICATE)
    least = np.full_like(after, 255)
    for y in range(2 * shift + 1):
        for x in range(2 * shift + 1):
            difference = cv2.blur(cv2.absdiff(after, around[y : y + height, x : x + width]), (3, 3))
            cv2.min(least, difference, dst=least)
    return least.max(axis=2)
