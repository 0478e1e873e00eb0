"""An object's masks over the frames of a clip, counted and compared without turning run lengths into pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pycocotools import mask as coco

from curation.contract.rle import Rle, decode_mask


@dataclass(frozen=True)
class Tube:
    """T masks of H x W px. As run lengths: as pixels, the objects of one long clip fill the memory of a laptop.

    Attributes:
        masks: one a frame, None where the object is not seen.
        size: (H, W).
    """

    masks: tuple[Rle | None, ...]
    size: tuple[int, int]

    @cached_property
    def areas(self) -> np.ndarray:
        """int64 [T], px."""
        areas = np.zeros(len(self.masks), np.int64)
        seen = [frame for frame, mask in enumerate(self.masks) if mask is not None]
        if seen:
            areas[seen] = coco.area([_bytes(self.masks[frame]) for frame in seen])  # pyright: ignore[reportArgumentType]
        return areas

    def pixels(self, frame: int) -> np.ndarray:
        """bool [H, W] of one frame."""
        mask = self.masks[frame]
        return np.zeros(self.size, bool) if mask is None else decode_mask(mask)


def cut_tube(masks: Sequence[Rle | None], first: int, start: int, end: int, size: tuple[int, int]) -> Tube:
    """The part over frames [start, end) of masks that begin at frame `first`; nothing is seen where there are none."""
    places = (frame - first for frame in range(start, end))
    return Tube(tuple(masks[place] if 0 <= place < len(masks) else None for place in places), size)


def common_areas(mine: Sequence[Tube], theirs: Sequence[Tube], frames: int) -> np.ndarray:
    """int64 [len(mine), len(theirs), frames]: px that two tubes share, frame by frame."""
    common = np.zeros((len(mine), len(theirs), frames), np.int64)
    for frame in range(frames):
        rows = [index for index, tube in enumerate(mine) if tube.masks[frame] is not None]
        columns = [index for index, tube in enumerate(theirs) if tube.masks[frame] is not None]
        if not rows or not columns:
            continue
        # With "crowd" set, pycocotools divides the intersection by the first mask's area instead of by the union.
        shares = coco.iou(
            [_bytes(mine[row].masks[frame]) for row in rows],
            [_bytes(theirs[column].masks[frame]) for column in columns],
            [1] * len(columns),
        )
        areas = np.array([mine[row].areas[frame] for row in rows])
        common[np.ix_(rows, columns, [frame])] = np.rint(shares * areas[:, None]).astype(np.int64)[..., None]
    return common


def _bytes(mask: Rle | None) -> Any:
    """As pycocotools takes it."""
    assert mask is not None
    return {"size": mask["size"], "counts": mask["counts"].encode("ascii")}
