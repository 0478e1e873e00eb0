"""Parts of the frame that pictures of an object cover, and how such pictures are carried from one to another."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np


class Window(NamedTuple):
    """Part of the frame."""

    rows: slice
    columns: slice

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)"""
        return self.columns.stop - self.columns.start, self.rows.stop - self.rows.start

    def of(self, image: np.ndarray) -> np.ndarray:
        return image[self.rows, self.columns]


def carried(image: np.ndarray, old: Window, moved: np.ndarray, new: Window) -> np.ndarray:
    """A picture of window `old` moved by `moved` px and cut to window `new`; zero where nothing comes from."""
    x = moved[0] + old.columns.start - new.columns.start
    y = moved[1] + old.rows.start - new.rows.start
    return cv2.warpAffine(image, np.array([[1, 0, x], [0, 1, y]], np.float64), new.size, flags=cv2.INTER_NEAREST)


def fetched(image: np.ndarray, pull: np.ndarray, old: Window) -> np.ndarray:
    """A picture of window `old` at the places that `pull` names."""
    x = pull[..., 0] - np.float32(old.columns.start)
    y = pull[..., 1] - np.float32(old.rows.start)
    return cv2.remap(image, x, y, cv2.INTER_NEAREST)


def in_frame(box: Sequence[float], window: Window, moved: np.ndarray | None = None) -> list[float]:
    """A box in window coordinates as frame coordinates, moved along."""
    x, y = moved if moved is not None else (0.0, 0.0)
    x, y = x + window.columns.start, y + window.rows.start
    return [box[0] + x, box[1] + y, box[2] + x, box[3] + y]


def clip_range(low: float, high: float, limit: int) -> slice:
    start = int(np.clip(np.floor(low), 0, limit))
    return slice(start, int(np.clip(np.ceil(high), start, limit)))
