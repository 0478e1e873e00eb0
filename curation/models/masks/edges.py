"""Where a mask ends: half-way between what is surely the object and what is surely not.

A fixed threshold of the evidence lies outside the edge of a strong object, and the farther the softer the edge is.
"""

import cv2
import numpy as np

from curation.contract.spans import mask_box

_BAY = 0.15  # half the width of a bay or hole that may be filled, in square roots of the mask's area
_TRACE = 2  # evidence that a filled pixel shows
_RIM_PX = 2  # of the mask that may not be the object
_GROWTH_PX = 1  # beyond the mask that may be the object
_INSIDE_PX = 6  # around a pixel of the rim, in which the strength inside is measured
_STRETCH_PX = 6  # along the edge on either side, over which it is moved as one
_PRIOR_PX = 20.0  # length of edge that the whole mask's mean counts for in each stretch


def half_strength(mask: np.ndarray, evidence: np.ndarray, least: int) -> np.ndarray:
    """The mask with its edge moved to where the evidence is half of what it is inside, bool [h, w].

    Bays and holes with a trace of evidence belong to it: an object has parts that look like what is behind them. For
    the same reason the edge is not moved pixel by pixel: the pixels of the rim that are too weak and those outside it
    that are strong enough are counted, and each stretch of the edge moves by their number over its length.

    Args:
        mask: bool [h, w]. Where it is too thin to have an inside it stays as it is.
        evidence: uint8 [h, w], near 0 where the object is not.
        least: evidence without which the mask does not grow.
    """
    box = mask_box(mask)
    if box is None:
        return mask
    bay = max(2, round(_BAY * float(np.sqrt(np.count_nonzero(mask)))))
    margin = max(bay, _INSIDE_PX + _GROWTH_PX)
    part = (slice(max(0, box[1] - margin), box[3] + margin), slice(max(0, box[0] - margin), box[2] + margin))
    strength = evidence[part]
    small = mask[part].view(np.uint8) | (_closed(mask[part].view(np.uint8), bay) & (strength >= _TRACE))

    inside = cv2.erode(small, np.ones((2 * _RIM_PX + 1, 2 * _RIM_PX + 1), np.uint8))
    near = _sum(inside, _INSIDE_PX)
    known = near > 0.5
    half = _sum(cv2.multiply(strength, inside), _INSIDE_PX) / (2 * np.maximum(near, 1))

    # The frame's border is no edge of the object.
    depth = cv2.distanceTransform(np.pad(small, 1, mode="edge"), cv2.DIST_L2, 3)[1:-1, 1:-1]
    outside = cv2.distanceTransform(1 - small, cv2.DIST_L2, 3)
    weak = (small > 0) & (depth <= _RIM_PX) & known & (strength < half)
    strong = (small == 0) & (outside <= _GROWTH_PX) & known & (strength >= np.maximum(half, least))
    surplus = weak.astype(np.float32) - strong
    edge = ((small > 0) & (depth < 1.5) & known).astype(np.float32)
    length = float(edge.sum())
    if length == 0:
        return mask
    inwards = _sum(surplus, _STRETCH_PX) + _PRIOR_PX * float(surplus.sum()) / length
    inwards /= _sum(edge, _STRETCH_PX) + _PRIOR_PX

    edged = mask.copy()
    edged[part] = np.where(known, np.where(small > 0, depth - 0.5, 0.5 - outside) > inwards, small > 0)
    return edged


def _closed(mask: np.ndarray, reach: int) -> np.ndarray:
    """The mask with bays and holes of up to 2 `reach` px filled, as if nothing of it lay outside the picture."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    padded = cv2.morphologyEx(np.pad(mask, reach), cv2.MORPH_CLOSE, kernel)
    return padded[reach:-reach, reach:-reach]


def _sum(values: np.ndarray, reach: int) -> np.ndarray:
    """float32 [h, w]: sum over the square of `reach` px around each pixel."""
    side = 2 * reach + 1
    return cv2.boxFilter(values, cv2.CV_32F, (side, side), normalize=False)
