"""Tubes of one object, joined: pieces that move as one, and stays before and after it was out of sight."""

from typing import NamedTuple

import numpy as np

from curation.contract.mask_tube import MaskTube
from curation.models.objects.motion_model import mask_motion, motion_model
from curation.models.objects.protocol import Detection
from curation.stages.clip_masks import Extents, mask_extents
from curation.video.media import ClipFrames

_LIKENESS = (0.75, 0.95)  # least Bhattacharyya coefficient of the colours before and after: no gap, longest gap
_SIZES = 2.5  # largest ratio of the areas before and after
_LOOK = 12  # frames on either side of the gap that the motion is taken from
_LOOK_SECONDS = (
    1.5  # on either side of the gap, of which the largest masks show size and colours: ends are often half hidden
)
_HALF = 0.5  # of the object that an end shows, at least
_NEAR = 1.3  # how far the middle may be off, in square roots of the area: at the ends a part is often hidden
_ASTRAY = 1.4  # times that far, at most
_TRADE = 0.15  # likeness that it is worth to be right in place instead of that far off
_DRIFT = 0.5  # how much less sure the place is after each second, in square roots of the area
_INWARDS = 0.3  # px per frame away from the border it touches, at which an object does not cross it
_TOGETHER = 0.55  # share of the frames of either that pieces of one object must share
_PIECE_GAP = 0.12  # gap between pieces of one object, in lengths of the longer one
_PIECE_WANDER = 0.25  # how far pieces may shift against one another, in the same lengths
_RIGID_GAP = 0.5  # the same two for pieces of which the picture, too, goes one way
_RIGID_WANDER = 0.15
_PIECE_LIKENESS = 0.6  # least Bhattacharyya coefficient of the colours of pieces that may shift against one another
_PIECE_TOGETHER = 0.4  # share of the shorter life in which such pieces are both seen
_LOOSE_GAP = 0.25  # gap between them, in lengths of the longer one
_SPECK = 0.1  # of the largest mask's area: a spell of smaller ones is no end of a tube
_OVERLAP = 12  # frames in which both tubes may be seen: masks at the edge of the gap are unsure

Tube = tuple[MaskTube, Detection]
"""Masks over the clip, and the detection they began with."""


def join_tubes(clip: ClipFrames, tubes: list[Tube], longest_seconds: float) -> list[Tube]:
    """Join what ends and what begins later when place, size and colours agree; the best pair first."""
    longest = round(longest_seconds * float(clip.fps))
    tubes = list(tubes)
    while True:
        ends = [_End.of(clip, masks) for masks, _ in tubes]
        pairs = [
            (score, first, second)
            for first, before in enumerate(ends)
            for second, after in enumerate(ends)
            if first != second and (score := _same(clip, before, after, longest)) > 0
        ]
        if not pairs:
            return tubes
        _, first, second = max(pairs, key=lambda pair: (pair[0], -pair[1], -pair[2]))
        joined = (tubes[first][0] | tubes[second][0], tubes[first][1])
        tubes = [tube for index, tube in enumerate(tubes) if index not in (first, second)] + [joined]


def join_pieces(clip: ClipFrames, tubes: list[Tube]) -> list[Tube]:
    """Join what keeps its place relative to each other for most of two lives, or touches and moves alike for one."""
    tubes = list(tubes)
    while True:
        extents = [mask_extents(masks) for masks, _ in tubes]
        pairs = [
            (first, second)
            for first in range(len(tubes))
            for second in range(first + 1, len(tubes))
            if _one_piece(extents[first], extents[second])
            or _rides_along(clip, (tubes[first][0], extents[first]), (tubes[second][0], extents[second]))
        ]
        if not pairs:
            return tubes
        first, second = pairs[0]
        tubes[first] = (tubes[first][0] | tubes[second][0], tubes[first][1])
        del tubes[second]


def _one_piece(a: Extents, b: Extents) -> bool:
    both = (a.areas > 0) & (b.areas > 0)
    either = (a.areas > 0) | (b.areas > 0)
    if np.count_nonzero(both) < max(5, _TOGETHER * np.count_nonzero(either)):
        return False
    one, two = a.boxes[both], b.boxes[both]
    apart = np.maximum(np.maximum(one[:, :2], two[:, :2]) - np.minimum(one[:, 2:], two[:, 2:]), 0).max(axis=1)
    larger = np.maximum((one[:, 2:] - one[:, :2]).max(axis=1), (two[:, 2:] - two[:, :2]).max(axis=1))
    if np.median(apart - _PIECE_GAP * larger) > 2:
        return False
    return _wander(one, two) < _PIECE_WANDER


def _wander(one: np.ndarray, two: np.ndarray) -> float:
    """How far boxes [N, 4] shift against one another, beyond 2 px, in lengths of the longer one."""
    longer = np.maximum((one[:, 2:] - one[:, :2]).max(axis=1), (two[:, 2:] - two[:, :2]).max(axis=1))
    offset = (one[:, :2] + one[:, 2:] - two[:, :2] - two[:, 2:]) / 2
    shift = np.hypot(*(np.percentile(offset, 90, axis=0) - np.percentile(offset, 10, axis=0)))
    return float((shift - 2) / np.median(longer))


def _rides_along(clip: ClipFrames, a: tuple[MaskTube, Extents], b: tuple[MaskTube, Extents]) -> bool:
    """One lives within the other's life, touches it or keeps its place beside it, and moves as it does.

    What looks like the other need only be near it while both are seen: what hides one object in part shows pieces of
    it that grow and shrink, each for a while.
    """
    both = np.flatnonzero((a[1].areas > 0) & (b[1].areas > 0))
    shorter = min(np.count_nonzero(a[1].areas), np.count_nonzero(b[1].areas))
    if len(both) < max(5, _PIECE_TOGETHER * shorter):
        return False
    one, two = a[1].boxes[both], b[1].boxes[both]
    gaps = (np.maximum(one[:, :2], two[:, :2]) - np.minimum(one[:, 2:], two[:, 2:])).max(axis=1)
    longer = np.maximum((one[:, 2:] - one[:, :2]).max(axis=1), (two[:, 2:] - two[:, :2]).max(axis=1))
    touch = np.mean(gaps <= 2) >= 0.8
    rigid = np.median(gaps - _RIGID_GAP * longer) <= 0 and _wander(one, two) <= _RIGID_WANDER
    within = len(both) >= 0.85 * shorter and (touch or rigid)
    if not within and (np.median(gaps - _LOOSE_GAP * longer) > 0 or _likeness(clip, a, b) < _PIECE_LIKENESS):
        return False
    model = motion_model(clip)
    everything = (slice(0, clip.height), slice(0, clip.width))
    alike = []
    for frame in both[:: max(1, len(both) // 12)]:
        following = frame + 1 if frame + 1 < clip.length else frame - 1
        flow = model.flow(int(frame), int(following))
        own, its = (mask_motion(flow, masks[frame], everything, clip.height, clip.width) for masks in (a[0], b[0]))
        speed = float(np.hypot(*own))
        alike.append(speed > 0.5 and float(np.hypot(*(own - its))) < 0.4 + 0.3 * speed)
    return bool(np.mean(alike) >= 0.6)


def _likeness(clip: ClipFrames, a: tuple[MaskTube, Extents], b: tuple[MaskTube, Extents]) -> float:
    """Bhattacharyya coefficient of the colours of two tubes where they are largest, 0..1."""
    one, two = (_colours(clip, masks, np.argsort(-extents.areas, kind="stable")[:4]) for masks, extents in (a, b))
    return float(np.sqrt(one * two).sum())


class _Side(NamedTuple):
    """A tube near one of its ends.

    Attributes:
        end: last frame in which anything is seen of it.
        frame: last one in which at least half of it is: there are box centre (px) and speed (px per frame).
        area, colours: of the object where most is seen of it.
        borders: that it touches at its end.
    """

    end: int
    frame: int
    centre: np.ndarray
    velocity: np.ndarray
    area: float
    colours: np.ndarray
    borders: frozenset[str]


class _End(NamedTuple):
    first: _Side
    last: _Side

    @staticmethod
    def of(clip: ClipFrames, masks: MaskTube) -> "_End":
        extents = mask_extents(masks)
        seen = _without_specks(extents.areas)
        return _End(_side(clip, masks, extents, seen, -1), _side(clip, masks, extents, seen[::-1], 1))


def _without_specks(areas: np.ndarray) -> np.ndarray:
    """The frames in which something is seen, but for spells in which that is a speck; areas: int64 [T]."""
    seen = np.flatnonzero(areas)
    spells = np.split(seen, np.flatnonzero(np.diff(seen) > 1) + 1)
    return np.concatenate([spell for spell in spells if areas[spell].max() > _SPECK * areas.max()])


def _side(clip: ClipFrames, masks: MaskTube, extents: Extents, frames: np.ndarray, step: int) -> _Side:
    """`frames` run from the end in question inwards; going on by `step` in time would lead out of them.

    The end is where at least half of the object is seen: what is left of it beside what hides it is no measure of where
    it is, and the last masks are often slips.
    """
    look = frames[: max(_LOOK, round(_LOOK_SECONDS * float(clip.fps)))]
    best = look[np.argsort(-extents.areas[look], kind="stable")[:4]]
    area = float(np.median(extents.areas[best]))
    near = frames[int(np.argmax(extents.areas[look] >= _HALF * area)) :][:_LOOK]
    boxes = extents.boxes
    centre = (boxes[near, :2] + boxes[near, 2:]) / 2
    span = near[0] - near[-1]
    velocity = (centre[0] - centre[-1]) / span if span else np.zeros(2)
    box = boxes[frames[0]]
    x, y = step * velocity
    touched = {
        "left": box[0] <= 2 and x <= _INWARDS,
        "top": box[1] <= 2 and y <= _INWARDS,
        "right": box[2] >= clip.width - 2 and x >= -_INWARDS,
        "bottom": box[3] >= clip.height - 2 and y >= -_INWARDS,
    }
    return _Side(
        end=int(frames[0]),
        frame=int(near[0]),
        centre=centre[0],
        velocity=velocity,
        area=area,
        colours=_colours(clip, masks, best),
        borders=frozenset(side for side, hit in touched.items() if hit),
    )


def _colours(clip: ClipFrames, masks: MaskTube, frames: np.ndarray) -> np.ndarray:
    """float64 [512] histogram of the object's colours, 8 levels a channel."""
    counts = np.zeros(512)
    for frame in frames:
        pixels = motion_model(clip).colours(frame)[masks[frame]].astype(np.int32) >> 5
        counts += np.bincount(pixels @ np.array([64, 8, 1]), minlength=512)
    return counts / max(counts.sum(), 1)


def _same(clip: ClipFrames, before: _End, after: _End, longest: int) -> float:
    """How much the tube that ends in `before.last` and the one that begins in `after.first` are one; 0 for not."""
    gone, back = before.last, after.first
    gap, absence = back.frame - gone.frame, max(0, back.end - gone.end)
    if gap <= -_OVERLAP or absence > longest or before.first.frame > back.frame or gone.frame > after.last.frame:
        return 0.0
    ratio = max(gone.area, back.area) / max(1.0, min(gone.area, back.area))
    if ratio > _SIZES:
        return 0.0
    way = back.centre - gone.centre
    size = np.sqrt(max(gone.area, back.area))
    if gone.borders or back.borders:
        if not gone.borders & back.borders:
            return 0.0
        off = float(np.linalg.norm(way)) / (1.5 * size)
    else:
        sure = size * (_NEAR + _DRIFT * max(0, gap) / float(clip.fps))
        off = min(
            float(np.linalg.norm(way - velocity * gap) / (sure + 0.3 * np.linalg.norm(velocity) * abs(gap)))
            for velocity in (gone.velocity, back.velocity, np.zeros(2))
        )
    likeness = float(np.sqrt(gone.colours * back.colours).sum())
    least = np.interp(absence, (0, longest), _LIKENESS) + _TRADE * (off - 1)
    return likeness - _TRADE * off if off <= _ASTRAY and likeness >= least else 0.0
