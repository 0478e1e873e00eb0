"""COCO run-length masks, as pycocotools writes them: `{"size": [height, width], "counts": str}`."""

from typing import TypedDict

import numpy as np
from pycocotools import mask as coco


class Rle(TypedDict):
    size: list[int]
    counts: str


def encode_mask(mask: np.ndarray) -> Rle:
    """Encode a [H, W] bool mask."""
    encoded = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return Rle(size=[int(side) for side in encoded["size"]], counts=str(encoded["counts"], "ascii"))  # pyright: ignore


def decode_mask(rle: Rle) -> np.ndarray:
    """Decode to a [H, W] bool mask."""
    return coco.decode({"size": list(rle["size"]), "counts": rle["counts"].encode("ascii")}).astype(bool)  # pyright: ignore
