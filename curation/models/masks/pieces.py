"""Connected pieces of foreground that belong to a mask."""

import cv2
import numpy as np

from curation.models.objects.motion_model import LIKELY, POSSIBLE

_CROSS_3 = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_SQUARE_5 = np.ones((5, 5), np.uint8)


def met_foreground(evidence: np.ndarray, mine: np.ndarray, free: np.ndarray) -> np.ndarray:
    """uint8 [h, w]: the foreground that the moved mask meets, as if the object were alone."""
    found = (((evidence >= LIKELY) | ((evidence >= POSSIBLE) & (mine > 0))) & (free > 0)).astype(np.uint8)
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, _CROSS_3)
    found = cv2.morphologyEx(found, cv2.MORPH_CLOSE, _SQUARE_5)
    return filled(meeting(found, mine)) & free


def meeting(found: np.ndarray, mine: np.ndarray) -> np.ndarray:
    """The connected parts of `found` that meet the moved mask, but for those far from the largest of them."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(found, connectivity=8)
    if count == 1:
        return found
    hit = np.bincount(labels[mine > 0], minlength=count)
    size = stats[:, cv2.CC_STAT_AREA]
    keep = hit >= np.maximum(1, 0.15 * size)
    keep[0] = False
    if keep.sum() > 1:
        main = int(np.argmax(np.where(keep, size, 0)))
        left, top, width, height = (stats[:, column] for column in range(4))
        gap_x = np.maximum(left - (left[main] + width[main]), left[main] - (left + width))
        gap_y = np.maximum(top - (top[main] + height[main]), top[main] - (top + height))
        keep &= np.maximum(gap_x, gap_y) <= 4 + 0.2 * np.sqrt(size[main])
    return keep[np.asarray(labels, np.intp)].astype(np.uint8)


def filled(mask: np.ndarray) -> np.ndarray:
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(mask), outlines, -1, 1, thickness=cv2.FILLED)
