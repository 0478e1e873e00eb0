"""What the frames around a frame say of an object: how likely each pixel is its own, and in what colour.

Masks and colours of its frames are carried along the object's motion, forwards and backwards, and averaged, nearer
frames counting more. The noise of single frames goes, and a part that cannot be told from the background for a moment
is known from when it could.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from curation.contract.mask_tube import MaskTube
from curation.models.masks.object_motion import object_motion
from curation.models.masks.windows import Window, clip_range
from curation.models.objects.motion_model import MotionModel

_FADE = 0.75  # weight of a frame's neighbour
_REACH = 6  # frames on either side that count: the next one would by less than a fifth
_CHUNK = 32  # frames averaged at a time: bounds memory
_MARGIN_PX = 10  # around the mask
_LEAST_WEIGHT = 0.05  # in frames, below which a place was not seen
_SQUARE_3 = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class Appearance:
    """An object in one frame, in the part of it that is around the object. Attributes:
    share: float32 [h, w], weighted share of the frames in which a pixel is the object's, 0..1.
    colours: float32 [h, w, 3], its mean colours; weight: float32 [h, w], in how many frames they were seen.
    """

    window: Window
    share: np.ndarray
    colours: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class _Sums:
    """Over frames, in a window. Attributes: paint: float32 [h, w, 4], colours where the object is, and how often it is
    there; seen: float32 [h, w], how often nothing else was."""

    window: Window
    paint: np.ndarray
    seen: np.ndarray


def appearances(model: MotionModel, masks: MaskTube, others: Sequence[MaskTube]) -> Iterator[Appearance | None]:
    """The object in every frame; None where it has no mask. `others` are the masks of what may hide it."""
    length = len(masks)
    motions = [object_motion(model, masks, frame) for frame in range(length - 1)]
    for start in range(0, length, _CHUNK):
        end = min(start + _CHUNK, length)
        near = range(max(0, start - _REACH), min(length, end + _REACH))
        alone = {frame: _of_one(model, masks, others, frame) for frame in near}
        forwards = _summed(alone, motions, near)
        backwards = _summed(alone, motions, near[::-1])
        for frame in range(start, end):
            yield _averaged(alone[frame], forwards[frame], backwards[frame])


def _of_one(model: MotionModel, masks: MaskTube, others: Sequence[MaskTube], frame: int) -> _Sums | None:
    box = masks.boxes[frame]
    if box is None:
        return None
    window = Window(
        clip_range(box[1] - _MARGIN_PX, box[3] + _MARGIN_PX, masks.shape[1]),
        clip_range(box[0] - _MARGIN_PX, box[2] + _MARGIN_PX, masks.shape[2]),
    )
    hidden = np.zeros(window.size[::-1], np.uint8)
    for other in others:
        if other.boxes[frame] is not None:
            hidden |= window.of(other[frame]).view(np.uint8)
    seen = 1 - cv2.dilate(hidden, _SQUARE_3).astype(np.float32)
    mine = window.of(masks[frame]) * seen
    return _Sums(window, np.dstack([model.colours(frame, window) * mine[..., None], mine]), seen)


def _summed(
    alone: dict[int, _Sums | None], motions: Sequence[np.ndarray | None], order: range
) -> dict[int, _Sums | None]:
    """Of each frame and those before it in `order`, a frame's neighbour counting `_FADE` times as much."""
    sums: dict[int, _Sums | None] = {}
    before = None
    for frame in order:
        here = alone[frame]
        motion = motions[min(frame, frame - order.step)] if before is not None else None
        if here is not None and before is not None and motion is not None:
            if order.step < 0:
                motion = cv2.invertAffineTransform(motion)
            old = (before.window.columns.start, before.window.rows.start)
            new = (here.window.columns.start, here.window.rows.start)
            motion = np.column_stack([motion[:, :2], motion[:, 2] + motion[:, :2] @ old - new])
            paint, seen = (cv2.warpAffine(picture, motion, here.window.size) for picture in (before.paint, before.seen))
            here = _Sums(here.window, here.paint + _FADE * paint, here.seen + _FADE * seen)
        sums[frame] = before = here
    return sums


def _averaged(alone: _Sums | None, forwards: _Sums | None, backwards: _Sums | None) -> Appearance | None:
    if alone is None or forwards is None or backwards is None:
        return None
    paint = forwards.paint + backwards.paint - alone.paint  # both count the frame itself
    seen = forwards.seen + backwards.seen - alone.seen
    weight = paint[..., 3]
    share = np.where(seen > _LEAST_WEIGHT, weight / np.maximum(seen, _LEAST_WEIGHT), 0)
    return Appearance(alone.window, share, paint[..., :3] / np.maximum(weight, 1e-3)[..., None], weight)
