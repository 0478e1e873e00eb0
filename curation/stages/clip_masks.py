"""An object's masks over a clip, and their outlines in numbers: what events, boxes and references are measured on."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np

from curation.contract.mask_tube import Masks, MaskTube
from curation.contract.rle import decode_mask
from curation.contract.spans import Span
from curation.video.media import ClipFrames

_LEAST_POINTS = 2  # that are seen in two frames tell how an object moved between them


class Extents(NamedTuple):
    """Outlines of masks [T, h, w], one row a frame.

    Attributes:
        areas: int64 [T], px; 0 where the object is not seen.
        boxes: float64 [T, 4], half-open boxes around the masks; nan where the object is not seen.
    """

    areas: np.ndarray
    boxes: np.ndarray


class Outlined(NamedTuple):
    """An object's masks [T, h, w] over a clip, and their outlines in numbers."""

    masks: Masks
    extents: Extents


def object_masks(clip: ClipFrames, track: Mapping[str, Any]) -> Masks | None:
    """bool [T, h, w] at working size, over the whole clip; None when the track has no masks.

    Masks that a stage of this process left in `clip.cache["masks"]` are used as they are; otherwise they are decoded
    from the track's run lengths once and left there.
    """
    cache: dict[str, Masks] = clip.cache.setdefault("masks", {})
    object_id = track["object_id"]
    if object_id not in cache:
        if track["masks"] is None:
            return None
        masks = [np.zeros((clip.height, clip.width), bool)] * clip.length
        for index, rle in enumerate(track["masks"], start=track["start_frame"] - clip.start):
            if rle is not None:
                source = decode_mask(rle).astype(np.float32)
                masks[index] = cv2.resize(source, (clip.width, clip.height), interpolation=cv2.INTER_AREA) > 0.5
        cache[object_id] = MaskTube.of(masks, (clip.height, clip.width))
    return cache[object_id]


def track_span(clip: ClipFrames, track: Mapping[str, Any]) -> Span:
    """The clip-relative frames that the track knows about."""
    return Span(track["start_frame"] - clip.start, track["end_frame"] - clip.start)


def moved(track: Mapping[str, Any], frame: int, other: int) -> np.ndarray | None:
    """How far an object's points moved from source frame `other` to `frame`: [2] px of the source, their median.

    None when fewer than two points are seen in both, or the track does not know one of the frames, or has no points.
    """
    if track["points"] is None:
        return None
    now, then = frame - track["start_frame"], other - track["start_frame"]
    if min(now, then) < 0 or max(now, then) >= len(track["points"]):
        return None
    common = track["visibility"][now] & track["visibility"][then]
    if np.count_nonzero(common) < _LEAST_POINTS:
        return None
    return np.median(track["points"][now][common] - track["points"][then][common], axis=0)


def mask_extents(masks: Masks) -> Extents:
    """Area and box of every mask of a bool [T, h, w] stack."""
    if isinstance(masks, MaskTube):
        areas = np.array([np.count_nonzero(masks.crop(frame)) for frame in range(len(masks))], np.int64)
        boxes = np.array([box or [np.nan] * 4 for box in masks.boxes], np.float64).reshape(-1, 4)
        return Extents(areas, boxes)
    columns: np.ndarray = np.any(masks, axis=1)
    rows: np.ndarray = np.any(masks, axis=2)
    areas = np.count_nonzero(masks, axis=(1, 2))
    height, width = masks.shape[1:]
    boxes = np.stack(
        [
            columns.argmax(axis=1),
            rows.argmax(axis=1),
            width - columns[:, ::-1].argmax(axis=1),
            height - rows[:, ::-1].argmax(axis=1),
        ],
        axis=1,
    ).astype(np.float64)
    boxes[areas == 0] = np.nan
    return Extents(areas, boxes)


def cut_sides(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """bool [T, 4]: which sides of boxes [T, 4] the border of a frame of (width, height) px cuts; none of a nan."""
    return np.concatenate([boxes[:, :2] <= 1, boxes[:, 2:] >= np.array(size) - 1], axis=1)


def uncut_middles(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Middles [T, 2] of boxes [T, 4] as if the frame's border did not cut them; nan where there is no box.

    The middle of what is seen of an object at the border goes half as far as the object. So where one side of a box is
    cut, the middle lies half the object's usual extent from the other side: the median of where it is whole, or else
    the most that is seen of it.

    Args:
        size: (width, height) of the frame, px.
    """
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    cut = cut_sides(boxes, size)
    for axis in (0, 1):
        near, far = boxes[:, axis], boxes[:, axis + 2]
        at_start, at_end = cut[:, axis], cut[:, axis + 2]
        extent = far - near
        whole = extent[~(at_start | at_end | np.isnan(extent))]
        usual = np.median(whole) if whole.size else np.nanmax(extent, initial=0.0)
        middles[:, axis] = np.where(at_start & ~at_end, far - usual / 2, middles[:, axis])
        middles[:, axis] = np.where(at_end & ~at_start, near + usual / 2, middles[:, axis])
    return middles
