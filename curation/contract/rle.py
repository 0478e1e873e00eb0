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


def encode_crop(crop: np.ndarray, x0: int, y0: int, height: int, width: int) -> Rle:
    """Encode a mask of [height, width] that is empty outside a bool crop whose corner is (x0, y0).

    The same as `encode_mask` of the whole picture, in time that depends on the crop alone.
    """
    rows = crop.shape[0]
    padded = np.zeros((crop.shape[1], rows + 2), np.int8)
    padded[:, 1:-1] = crop.T
    steps = np.diff(padded, axis=1)
    column, begin = np.nonzero(steps == 1)
    _, end = np.nonzero(steps == -1)
    offset = (x0 + column) * height + y0
    edges = np.stack([offset + begin, offset + end], axis=1).ravel()
    # Runs that reach the bottom of one column and go on at the top of the next are one run.
    joined = np.flatnonzero(edges[1:-1:2] == edges[2::2])
    edges = np.delete(edges, np.concatenate([2 * joined + 1, 2 * joined + 2]))
    if edges.size == 0 or edges[-1] < height * width:
        edges = np.append(edges, height * width)
    counts = np.diff(edges, prepend=0).tolist()
    encoded = coco.frPyObjects({"size": [height, width], "counts": counts}, height, width)  # pyright: ignore
    return Rle(size=[height, width], counts=str(encoded["counts"], "ascii"))  # pyright: ignore
