"""An object's masks over a clip in little memory: hundreds of frames of two dozen objects take gigabytes as arrays."""

from collections.abc import Iterable, Iterator
from typing import overload

import numpy as np

from curation.contract.spans import mask_box


class MaskTube:
    """Masks bool [T, h, w], each kept as the packed bits of its box. Read frame by frame, like an array of them.

    Attributes:
        shape: (T, h, w).
        boxes: of every mask [x0, y0, x1, y1], half open, px; None for an empty one.
    """

    def __init__(self, size: tuple[int, int], boxes: list[list[int] | None], bits: list[np.ndarray | None]) -> None:
        """Args: size: (h, w); bits: uint8 [N] of every mask's box as `numpy.packbits` packs it."""
        self.shape = (len(boxes), *size)
        self.boxes = boxes
        self._bits = bits

    @classmethod
    def of(cls, masks: Iterable[np.ndarray], size: tuple[int, int]) -> "MaskTube":
        """From bool [h, w] masks, frame by frame."""
        boxes, bits = [], []
        for mask in masks:
            box = mask_box(mask)
            boxes.append(box)
            bits.append(None if box is None else np.packbits(mask[box[1] : box[3], box[0] : box[2]]))
        return cls(size, boxes, bits)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[frame] for frame in range(len(self)))

    @overload
    def __getitem__(self, place: slice) -> "MaskTube": ...
    @overload
    def __getitem__(self, place: int | np.integer) -> np.ndarray: ...
    def __getitem__(self, place: slice | int | np.integer) -> "np.ndarray | MaskTube":
        if isinstance(place, slice):
            return MaskTube(self.shape[1:], self.boxes[place], self._bits[place])
        mask = np.zeros(self.shape[1:], bool)
        box = self.boxes[place]
        if box is not None:
            mask[box[1] : box[3], box[0] : box[2]] = self.crop(place)
        return mask

    def crop(self, place: int | np.integer) -> np.ndarray:
        """bool: a mask inside its box; 0 x 0 for an empty one."""
        box, bits = self.boxes[place], self._bits[place]
        if box is None or bits is None:
            return np.zeros((0, 0), bool)
        height, width = box[3] - box[1], box[2] - box[0]
        return np.unpackbits(bits, count=height * width).reshape(height, width).view(bool)

    def __or__(self, other: "MaskTube") -> "MaskTube":
        return MaskTube.of((a | b for a, b in zip(self, other, strict=True)), self.shape[1:])

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        """All masks unpacked; for tests and for tubes that are short."""
        return np.stack(list(self)).astype(dtype or np.dtype(bool), copy=False)


Masks = np.ndarray | MaskTube
"""Masks over a clip, bool [T, h, w], or what reads like them frame by frame."""
