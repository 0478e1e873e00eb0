"""DAVIS's measures of masks (Perazzi et al. 2016, section 5): region similarity J and contour accuracy F."""

import cv2
import numpy as np

_BOUND = 0.008  # tolerance of the contour as a share of the diagonal, as in the DAVIS toolkit


def region_similarity(mask: np.ndarray, truth: np.ndarray) -> float:
    """J: intersection over union of bool [H, W]; 1 when both are empty."""
    union = np.count_nonzero(mask | truth)
    return np.count_nonzero(mask & truth) / union if union else 1.0


def contour_accuracy(mask: np.ndarray, truth: np.ndarray) -> float:
    """F: harmonic mean of the shares of each contour that lie within 0.8 % of the diagonal of the other one."""
    height, width = mask.shape
    radius = int(np.ceil(_BOUND * np.hypot(height, width)))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk = (x**2 + y**2 <= radius**2).astype(np.uint8)
    mine, theirs = _contour(mask), _contour(truth)
    if not mine.any() and not theirs.any():
        return 1.0
    if not mine.any() or not theirs.any():
        return 0.0
    precision = np.count_nonzero(mine & (cv2.dilate(theirs.astype(np.uint8), disk) > 0)) / np.count_nonzero(mine)
    recall = np.count_nonzero(theirs & (cv2.dilate(mine.astype(np.uint8), disk) > 0)) / np.count_nonzero(theirs)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def tube_iou(masks: np.ndarray, truth: np.ndarray) -> float:
    """Spatio-temporal IoU of bool [T, H, W] (YouTube-VIS, Yang et al. 2019): sums of intersections and of unions."""
    union = np.count_nonzero(masks | truth)
    return np.count_nonzero(masks & truth) / union if union else 0.0


def _contour(mask: np.ndarray) -> np.ndarray:
    """bool [H, W]: pixels whose right, lower or diagonal neighbour differs, as the DAVIS toolkit has it."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here = padded[:-1, :-1]
    return (here != padded[:-1, 1:]) | (here != padded[1:, :-1]) | (here != padded[1:, 1:])
