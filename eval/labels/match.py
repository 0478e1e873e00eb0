"""Which reported object is which true one, within one clip of the manifests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from curation.contract.rle import Rle
from eval.labels.labelled import LabelledClip, LabelledObject
from eval.labels.metrics.masks import tube_iou
from eval.labels.tube import Tube, common_areas, cut_tube

FOUND = 0.5  # tube IoU of an object that counts as found
SAME = 0.1  # tube IoU from which on a reported object is taken for the true one, for its events and boxes
LEAST_AREA = 0.001  # share of the frame that a true object must reach to be asked for
LEAST_SECONDS = 0.5  # for how long it must be seen: curation leaves out what is glimpsed for less

Record = Mapping[str, Any]


@dataclass(frozen=True)
class TrueTube:
    """A true object over a clip's frames. Attributes: wanted: see `is_wanted`, by what is seen of it in the clip."""

    item: LabelledObject
    tube: Tube
    wanted: bool

    @property
    def spared(self) -> bool:
        """It moves, but is too small or too short to be asked for: neither missed nor false."""
        return self.item.moving and not self.wanted


@dataclass(frozen=True)
class Match:
    """A reported object of a clip.

    Attributes:
        row, track: its records.
        tube: over the clip's frames.
        truth: the true object that it is; None for none.
        common: int64 [T], px shared with `truth`.
        iou: their tube IoU; 0 without one.
        excuse: a spared object on which most of it lies, when it is not `truth`.
    """

    row: Record
    track: Record
    tube: Tube
    truth: TrueTube | None
    common: np.ndarray
    iou: float
    excuse: TrueTube | None

    @property
    def found(self) -> bool:
        return self.truth is not None and self.truth.wanted and self.iou >= FOUND

    @property
    def spared(self) -> bool:
        """It is on something that moves, but is not asked for."""
        return self.excuse is not None or (self.truth is not None and self.truth.spared)


@dataclass(frozen=True)
class ClipMatches:
    """Attributes: reported: every reported object; tubes: every true one that is seen in the clip; common: int64
    [reported, tubes, T], px that they share."""

    clip: Record
    reported: list[Match]
    tubes: list[TrueTube]
    common: np.ndarray

    @property
    def missed(self) -> list[TrueTube]:
        found = {id(match.truth) for match in self.reported if match.found}
        return [tube for tube in self.tubes if tube.wanted and id(tube) not in found]


def is_wanted(item: LabelledObject, areas: np.ndarray, size: tuple[int, int], fps: float) -> bool:
    """It moves, and is large and long enough to be asked for, with `areas` int64 [T] px in frames of `size`."""
    large = areas.max(initial=0) >= LEAST_AREA * size[0] * size[1]
    return bool(item.moving and large and np.count_nonzero(areas) >= LEAST_SECONDS * fps)


def is_asked_for(item: LabelledObject, fps: float) -> bool:
    """It is wanted by what is seen of it in its whole shot, however curation cut that."""
    size = _size(item.masks or ())
    if size is None:
        return False
    tube = cut_tube(item.masks or (), item.start_frame, item.start_frame, item.end_frame, size)
    return is_wanted(item, tube.areas, size, fps)


def match_clip(
    labelled: LabelledClip, clip: Record, rows: list[Record], tracks: Mapping[str, Record], fps: float
) -> ClipMatches:
    """Assign the objects that a clip of the manifests reports to the true ones, one-to-one, by the best sum of IoUs."""
    start, end = int(clip["start_frame"]), int(clip["end_frame"])
    tubes = _true_tubes(labelled.objects or (), start, end, fps)
    masks = [_reported_tube(row, tracks[row["object_id"]], start, end) for row in rows]
    common = common_areas(masks, [tube.tube for tube in tubes], end - start)
    overlap = np.zeros((len(masks), len(tubes)))
    for (i, j), _ in np.ndenumerate(overlap):
        overlap[i, j] = tube_iou(common[i, j], masks[i].areas, tubes[j].tube.areas)
    partner = dict(zip(*(axis.tolist() for axis in linear_sum_assignment(-overlap)), strict=True))
    reported = []
    for index, (row, mask) in enumerate(zip(rows, masks, strict=True)):
        other = partner.get(index)
        if other is not None and overlap[index, other] < SAME:
            other = None
        truth = tubes[other] if other is not None else None
        shared = common[index, other] if other is not None else np.zeros(end - start, np.int64)
        iou = float(overlap[index, other]) if other is not None else 0.0
        excuse = _excuse(mask, tubes, common[index]) if truth is None else None
        reported.append(Match(row, tracks[row["object_id"]], mask, truth, shared, iou, excuse))
    return ClipMatches(clip, reported, tubes, common)


def _excuse(mask: Tube, tubes: Sequence[TrueTube], common: np.ndarray) -> TrueTube | None:
    for tube, shared in zip(tubes, common.sum(axis=1).tolist(), strict=True):
        if tube.spared and shared > 0.5 * mask.areas.sum():
            return tube
    return None


def _true_tubes(items: Sequence[LabelledObject], start: int, end: int, fps: float) -> list[TrueTube]:
    """The labelled objects that are seen in frames [start, end)."""
    tubes = []
    for item in items:
        size = _size(item.masks or ())
        if size is None or item.end_frame <= start or item.start_frame >= end:
            continue
        tube = cut_tube(item.masks or (), item.start_frame, start, end, size)
        if tube.areas.any():
            tubes.append(TrueTube(item, tube, is_wanted(item, tube.areas, size, fps)))
    return tubes


def _reported_tube(row: Record, track: Record, start: int, end: int) -> Tube:
    height, width = row["mask"]["size"]
    return cut_tube(track["masks"], int(track["start_frame"]), start, end, (height, width))


def _size(masks: Sequence[Rle | None]) -> tuple[int, int] | None:
    return next(((mask["size"][0], mask["size"][1]) for mask in masks if mask is not None), None)
