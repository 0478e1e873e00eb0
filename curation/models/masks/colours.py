"""Colours by which an object is known again."""

import cv2
import numpy as np


def familiar_share(picture: np.ndarray, mask: np.ndarray, colours: np.ndarray) -> float:
    """Share of the pixels under the mask whose colour is common on the object, 0..1."""
    return float(np.mean(colours[_bins(picture[mask > 0])] > 0.25 / 64))


def colour_histogram(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """float32 [512] colour histogram under the mask, 8 levels a channel, summing to 1."""
    counts = np.bincount(_bins(picture[mask > 0]), minlength=512).reshape(8, 8, 8).astype(np.float32)
    for axis in range(3):  # neighbouring bins share, so that a slight change of light does not move everything
        padded = np.pad(counts, [(1, 1) if a == axis else (0, 0) for a in range(3)])
        low, high = np.take(padded, range(8), axis), np.take(padded, range(2, 10), axis)
        counts = counts + 0.5 * (low + high)
    counts = counts.ravel()
    return counts / max(float(counts.sum()), 1e-9)


def colour_miss(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float32 [h, w]: sum of the channels' differences, smoothed."""
    apart = cv2.transform(cv2.absdiff(a, b), np.ones((1, 3), np.float32))
    return cv2.blur(apart.astype(np.float32), (5, 5))


def _bins(pixels: np.ndarray) -> np.ndarray:
    """int32 [N] histogram bins of uint8 [N, 3] colours."""
    return (pixels[:, 0] >> 5).astype(np.int32) * 64 + (pixels[:, 1] >> 5) * 8 + (pixels[:, 2] >> 5)
