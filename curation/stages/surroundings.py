"""What else in a frame may be a part of an object, or be it: boxes that hide the object must not hold that."""

from collections.abc import Sequence

import cv2
import numpy as np

from curation.contract.spans import mask_box
from curation.models.objects.motion_model import LIKELY, motion_model
from curation.stages.clip_masks import Outlined
from curation.video.media import ClipFrames

_SQUARE_3, _SQUARE_7 = (np.ones((side, side), np.uint8) for side in (3, 7))


class Surroundings:
    """An object among the others of its clip: what else in a start frame may be a part of it, or it.

    Attributes:
        own: the object's masks; `others`: those of the other objects.
        areas: int64 [T], px of its masks; `usual`: their median where the object is seen.
        touching: those of `others` that come within `reach_px` of the object in any frame.
    """

    def __init__(self, clip: ClipFrames, own: Outlined, others: Sequence[Outlined], reach_px: float) -> None:
        self.clip, self.own, self.others, self.areas = clip, own, others, own.extents.areas
        self.usual = float(np.median(self.areas[self.areas > 0])) if self.areas.any() else 0.0
        self.touching = [other for other in others if touch(own, other, reach_px)]

    def parts(self, index: int, gap: float, least_share: float) -> list[np.ndarray]:
        """Boxes [4], px of the source, around what in a frame may be a part of the object that is seen there.

        Args:
            gap: how near other objects, and foreground that no object claims, may be a part of it; px of the source.
            least_share: of the usual area, for foreground that no object claims.
        """
        own, others = self.own.masks[index], self._others(index)
        unknown = unknown_masks(self._foreground(index), [own, *others], least_share * self.usual)
        near = near_boxes(own, [*others, *unknown], gap / self.clip.scale[0])
        return self._at_source([*near, *self._once_touched(index)])

    def gone(self, index: int, first: int, least_share: float) -> list[np.ndarray]:
        """Boxes [4], px of the source, around what in a frame may be the object that comes in at `first`."""
        unknown = unknown_masks(self._foreground(index), self._others(index), least_share * self.usual)
        gone = gone_boxes(self.others, index, first)
        return self._at_source([*gone, *map(_box, unknown), *self._once_touched(index)])

    def _others(self, index: int) -> list[np.ndarray]:
        return [other.masks[index] for other in self.others]

    def _once_touched(self, index: int) -> list[np.ndarray]:
        return [_box(other.masks[index]) for other in self.touching if other.masks[index].any()]

    def _foreground(self, index: int) -> np.ndarray:
        return motion_model(self.clip).evidence[index] >= LIKELY

    def _at_source(self, boxes: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [box * np.tile(self.clip.scale, 2) for box in boxes]


def near_boxes(mask: np.ndarray, others: list[np.ndarray], reach_px: float) -> list[np.ndarray]:
    """Boxes [4] around the masks bool [h, w] that come within `reach_px` of `mask`.

    Such a neighbour may be a part of the object that was taken for another one, on the far side of a pole for
    instance; a box must not hold it either.
    """
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    return [_box(other) for other in others if other.any() and away[other].min() <= reach_px]


def _box(mask: np.ndarray) -> np.ndarray:
    return np.array(mask_box(mask), np.float64)


def gone_boxes(others: Sequence[Outlined], index: int, first: int) -> list[np.ndarray]:
    """Boxes [4] in frame `index` around masks of objects that are seen there and never from `first` on.

    Such a one may be the object itself that comes in at `first`, before it left: one thing, reported as two.
    """
    return [
        _box(other.masks[index])
        for other in others
        if other.masks[index].any() and not other.extents.areas[first:].any()
    ]


def touch(own: Outlined, other: Outlined, reach_px: float) -> bool:
    """Whether two objects' masks come within `reach_px` of one another in any frame.

    Such two may have been mixed up since, or be one thing that was taken for two.
    """
    ours, theirs = own.extents.boxes, other.extents.boxes
    gaps = np.maximum(theirs[:, :2] - ours[:, 2:], ours[:, :2] - theirs[:, 2:]).max(axis=1)
    close = np.flatnonzero(gaps <= reach_px)
    return any(near_boxes(own.masks[frame], [other.masks[frame]], reach_px) for frame in close)


def unknown_masks(seen: np.ndarray, known: Sequence[np.ndarray], least_px: float) -> list[np.ndarray]:
    """Masks bool [h, w] of connected parts of the foreground `seen` of at least `least_px` that no object is near.

    They may be a part that an object's mask lacks, or what comes in later: it was there for too short a time to be
    found as an object.

    Args:
        known: masks of objects, bool [h, w].
    """
    claimed = np.any([np.zeros_like(seen), *known], axis=0).astype(np.uint8)
    free = seen & (cv2.dilate(claimed, _SQUARE_7) == 0)
    free = cv2.morphologyEx(free.astype(np.uint8), cv2.MORPH_OPEN, _SQUARE_3)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(free, connectivity=8)
    return [labels == part for part in range(1, count) if stats[part, cv2.CC_STAT_AREA] >= least_px]
