"""The canvas and the region box on it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

Box = tuple[int, int, int, int]
Pixels = TypeVar("Pixels", np.ndarray, "torch.Tensor")


def scale_box(box: Sequence[float], source_size: tuple[int, int], canvas_size: tuple[int, int]) -> Box:
    """A region box [x0, y0, x1, y1] from source to canvas px, cut off to integers as in the recipe.

    Args:
        source_size, canvas_size: (height, width).
    """
    across, down = canvas_size[1] / source_size[1], canvas_size[0] / source_size[0]
    return int(box[0] * across), int(box[1] * down), int(box[2] * across), int(box[3] * down)


def mask_outside(frame: np.ndarray, box: Box) -> np.ndarray:
    """A copy of uint8 [H, W, 3] that is black outside region box [x0, y0, x1, y1]: the first frame that the model sees.

    Raises:
        ValueError: the box holds no pixel of the frame.
    """
    x0, y0, x1, y1 = box
    height, width = frame.shape[:2]
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise ValueError(f"region box {list(box)} does not lie in a frame of {width}x{height} px")
    masked = np.zeros_like(frame)
    masked[y0:y1, x0:x1] = frame[y0:y1, x0:x1]
    return masked


def to_model_range(pixels: Pixels) -> Pixels:
    """uint8 0..255, an array or a tensor on any device, to float32 -1..1."""
    if isinstance(pixels, np.ndarray):
        return pixels.astype(np.float32) / 127.5 - 1.0
    return pixels.float() / 127.5 - 1.0
