"""DAVIS's measures of masks (Perazzi et al. 2016, section 5): region similarity J and contour accuracy F."""

import cv2
import numpy as np

_BOUND = 0.008  # tolerance of the contour as a share of the diagonal, as in the DAVIS toolkit


def region_similarity(common: np.ndarray, area: np.ndarray, true_area: np.ndarray) -> np.ndarray:
    """J, float64 [T]: intersection over union from int [T] px of the intersection and of the two masks.

    nan where both are empty. The DAVIS toolkit says 1 there, which lets an object that is hidden for most of a clip
    score well without being found: we leave these frames out of every mean.
    """
    union = area + true_area - common
    return np.where(union > 0, common / np.maximum(union, 1), np.nan)


def tube_iou(common: np.ndarray, area: np.ndarray, true_area: np.ndarray) -> float:
    """Spatio-temporal IoU (YouTube-VIS, Yang et al. 2019): sum of intersections over sum of unions, int [T] px."""
    union = int((area + true_area - common).sum())
    return int(common.sum()) / union if union else 0.0


def contour_accuracy(mask: np.ndarray, truth: np.ndarray) -> float:
    """F of bool [H, W]: harmonic mean of the shares of each contour that lie within 0.8 % of the diagonal (rounded up
    to whole px) of the other one; 1 when both masks are empty, 0 when one is."""
    if not mask.any() or not truth.any():
        return float(mask.any() == truth.any())
    radius = int(np.ceil(_BOUND * np.hypot(*mask.shape)))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk = (x**2 + y**2 <= radius**2).astype(np.uint8)
    window = _window(mask | truth, radius + 1)
    mine, theirs = _contour(mask[window]), _contour(truth[window])
    if not mine.any() or not theirs.any():  # a mask that fills the frame has no contour
        return float(mine.any() == theirs.any())
    precision = np.count_nonzero(mine & (cv2.dilate(theirs.astype(np.uint8), disk) > 0)) / np.count_nonzero(mine)
    recall = np.count_nonzero(theirs & (cv2.dilate(mine.astype(np.uint8), disk) > 0)) / np.count_nonzero(theirs)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _window(mask: np.ndarray, margin: int) -> tuple[slice, slice]:
    """Rows and columns around all that is set, since the contours of whole frames take most of the time of scoring."""
    spans = []
    for axis in (1, 0):
        places = np.flatnonzero(mask.any(axis=axis))
        spans.append(slice(max(0, int(places[0]) - margin), int(places[-1]) + margin + 1))
    return spans[0], spans[1]


def _contour(mask: np.ndarray) -> np.ndarray:
    """bool [H, W]: pixels whose right, lower or diagonal neighbour differs, as the DAVIS toolkit has it."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here = padded[:-1, :-1]
    return (here != padded[:-1, 1:]) | (here != padded[1:, :-1]) | (here != padded[1:, 1:])
