"""A classical look: which colours a picture has, and which edges where. No weights.

Numbers made with it compare runs with one another. They say little beside those of learned features.
"""

import cv2
import numpy as np

_SIZE = (96, 64)  # width, height
_LEVELS = 4  # of each channel of Lab
_CELLS = (2, 2)  # rows and columns in which edges are counted
_DIRECTIONS = 8


class Look:
    """A `FrameFeatures`: Hellinger histograms of Lab colours (64) and of edge directions in four cells (32).

    Pure black is nothing (an ID reference stands on it) and counts in neither.
    """

    name: str = "look-1"

    def describe(self, pictures: np.ndarray) -> np.ndarray:
        """See `FrameFeatures.describe`; D = 96, values 0..1."""
        return np.stack([_describe(picture) for picture in pictures])


def _describe(picture: np.ndarray) -> np.ndarray:
    small = cv2.resize(picture, _SIZE, interpolation=cv2.INTER_AREA)
    there: np.ndarray = np.any(small, axis=2)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    bins = lab.astype(np.int64) * _LEVELS // 256
    index = (bins[..., 0] * _LEVELS + bins[..., 1]) * _LEVELS + bins[..., 2]
    colours = np.bincount(index[there], minlength=_LEVELS**3)

    luma = lab[..., 0].astype(np.float32)
    across, down = cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)
    whole = cv2.erode(there.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0  # the edge to nothing is no edge
    strength = np.hypot(across, down) * whole
    direction = ((np.arctan2(down, across) / (2 * np.pi) % 1) * _DIRECTIONS).astype(np.int64) % _DIRECTIONS
    rows, columns = np.indices(luma.shape)
    cell = rows * _CELLS[0] // luma.shape[0] * _CELLS[1] + columns * _CELLS[1] // luma.shape[1]
    edges = np.bincount((cell * _DIRECTIONS + direction).ravel(), strength.ravel(), _CELLS[0] * _CELLS[1] * _DIRECTIONS)
    return np.concatenate([_hellinger(colours), _hellinger(edges)]).astype(np.float32)


def _hellinger(counts: np.ndarray) -> np.ndarray:
    """Square roots of shares: their dot product is the Bhattacharyya coefficient."""
    return np.sqrt(counts / max(counts.sum(), 1e-9))
