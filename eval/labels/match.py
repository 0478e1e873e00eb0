"""Which reported object is which true one, within one clip of the manifests."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from curation.contract.rle import decode_mask
from eval.labels.labelled import LabelledClip, LabelledObject
from eval.labels.metrics.masks import tube_iou

FOUND = 0.5  # tube IoU of an object that counts as found
SAME = 0.1  # tube IoU from which on a reported object is taken for the true one, for its events and boxes
LEAST_AREA = 0.001  # share of the frame that a true object must reach to be asked for
LEAST_SECONDS = 0.5  # for how long it must be seen: curation leaves out what is glimpsed for less

Record = Mapping[str, Any]


@dataclass(frozen=True)
class TrueTube:
    """A true object's masks over a clip's frames.

    Attributes:
        masks: bool [T, H, W].
        wanted: it moves, and is large and long enough to be asked for.
    """

    item: LabelledObject
    masks: np.ndarray
    wanted: bool


@dataclass(frozen=True)
class Match:
    """A reported object of a clip.

    Attributes:
        row, track: its records.
        masks: bool [T, H, W] over the clip's frames.
        truth: the true object that it is; None for none.
        iou: their tube IoU; 0 without one.
    """

    row: Record
    track: Record
    masks: np.ndarray
    truth: TrueTube | None
    iou: float

    @property
    def found(self) -> bool:
        return self.truth is not None and self.truth.wanted and self.iou >= FOUND


@dataclass(frozen=True)
class ClipMatches:
    """Attributes: reported: every reported object; tubes: every true one that is seen in the clip."""

    clip: Record
    reported: list[Match]
    tubes: list[TrueTube]

    @property
    def missed(self) -> list[TrueTube]:
        found = {id(match.truth) for match in self.reported if match.found}
        return [tube for tube in self.tubes if tube.wanted and id(tube) not in found]


def true_tubes(labelled: LabelledClip, start: int, end: int, size: tuple[int, int], fps: float) -> list[TrueTube]:
    """The labelled objects over frames [start, end) of a file whose frames are `size` (height, width)."""
    tubes = []
    for item in labelled.objects or ():
        masks = np.zeros((end - start, *size), bool)
        for offset, mask in enumerate(item.masks or ()):
            place = item.start_frame + offset - start
            if mask is not None and 0 <= place < len(masks):
                masks[place] = decode_mask(mask)
        areas = masks.mean(axis=(1, 2))
        if areas.any():
            wanted = item.moving and areas.max() >= LEAST_AREA and np.count_nonzero(areas) >= LEAST_SECONDS * fps
            tubes.append(TrueTube(item, masks, bool(wanted)))
    return tubes


def match_clip(
    labelled: LabelledClip, clip: Record, rows: list[Record], tracks: Mapping[str, Record], fps: float
) -> ClipMatches:
    """Assign the objects that a clip of the manifests reports to the true ones, one-to-one, by the best sum of IoUs."""
    start, end = int(clip["start_frame"]), int(clip["end_frame"])
    size = next((tuple(row["mask"]["size"]) for row in rows), None) or _size(labelled)
    tubes = true_tubes(labelled, start, end, size, fps) if size is not None else []
    masks = [_tube(tracks[row["object_id"]], start, end, size) for row in rows] if size is not None else []
    overlap = np.array([[tube_iou(mask, tube.masks) for tube in tubes] for mask in masks]).reshape(
        len(rows), len(tubes)
    )
    partner = dict(zip(*(axis.tolist() for axis in linear_sum_assignment(-overlap)), strict=True))
    reported = []
    for index, (row, mask) in enumerate(zip(rows, masks, strict=True)):
        other = partner.get(index)
        iou = float(overlap[index, other]) if other is not None else 0.0
        same = other is not None and iou >= SAME
        truth = tubes[other] if other is not None and same else None
        reported.append(Match(row, tracks[row["object_id"]], mask, truth, iou if same else 0.0))
    return ClipMatches(clip, reported, tubes)


def _tube(track: Record, start: int, end: int, size: tuple[int, ...]) -> np.ndarray:
    masks = np.zeros((end - start, *size), bool)
    for offset, mask in enumerate(track["masks"]):
        if mask is not None:
            masks[int(track["start_frame"]) + offset - start] = decode_mask(mask)
    return masks


def _size(labelled: LabelledClip) -> tuple[int, int] | None:
    masks = (mask for item in labelled.objects or () for mask in item.masks or () if mask is not None)
    return next(((mask["size"][0], mask["size"][1]) for mask in masks), None)
