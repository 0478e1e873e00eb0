"""Whether what is seen inside a mask goes along with it: light, shadow and waves move over a ground that stays."""

from typing import TypeVar

import cv2
import numpy as np

from curation.contract.mask_tube import Masks
from curation.models.objects.motion_model import motion_model
from curation.stages.clip_masks import Extents, cut_sides, uncut_middles
from curation.video.media import ClipFrames

T = TypeVar("T")

_PAIRS = 16  # pairs of frames that are compared, at most
_LEAST_WHOLE = 4  # pairs of uncut masks that are enough to do without the others
_STEP_PX = 4.0  # how far the mask must have gone between the two
_STEP_SECONDS = 0.5  # in at most this time
_TEMPLATE_SIDE = 56  # larger masks are shrunk to this side, px
_MARGIN_PX = 4  # searched beyond where the mask went
_LEAST_PIXELS = 12  # of the mask, to compare
_LEAST_CORE = 0.25  # of the mask that is left without its edge, for the edge to be left out
_BETTER = 0.85  # the picture must fit this much better where the mask went than where the ground went
_TELLING = 4.0  # grey levels, root mean square, by which it must not fit there: plain sky fits everywhere but for noise


def carried_share(clip: ClipFrames, masks: Masks, extents: Extents) -> float:
    """Share of frame pairs, 0..1, in which the picture inside the mask goes at least half the mask's way.

    The picture in the mask of one frame is looked for in a later one, between where the ground has carried it and
    beyond where the mask is. 0 when the mask never goes far enough to tell.

    Args:
        masks: bool [T, h, w] at working size.
        extents: theirs.
    """
    pairs = _pairs(clip, extents)
    if not pairs:
        return 0.0
    along = [_goes_along(clip, masks[a], extents.boxes[a], a, b, ground, way) for a, b, ground, way in pairs]
    return float(np.mean(along))


def reach_frames(clip: ClipFrames, seconds: float) -> int:
    """How many frames apart two frames may be that are compared, at most that long one after the other."""
    return max(1, round(seconds * float(clip.fps)))


def thinned(pairs: list[T], most: int) -> list[T]:
    """At most `most` of them, evenly spread over the first."""
    return pairs[:: max(1, len(pairs) // most)][:most]


def _pairs(clip: ClipFrames, extents: Extents) -> list[tuple[int, int, np.ndarray, np.ndarray]]:
    """Frames (a, b), the ground's way between them [2] and the mask's own way beyond that [2], px.

    Masks that the frame's border cuts are left out where others will do: their middle does not go where the object
    goes.
    """
    path = motion_model(clip).path
    areas, boxes = extents
    centres = uncut_middles(boxes, (clip.width, clip.height))
    whole: np.ndarray = ~np.any(cut_sides(boxes, (clip.width, clip.height)), axis=1)
    reach = reach_frames(clip, _STEP_SECONDS)
    found = []
    for a in np.flatnonzero(areas).tolist():
        later = np.flatnonzero(areas[a + 1 : a + 1 + reach]) + a + 1
        for b in later.tolist():
            ground = path.way(centres[a], a, b)
            own = centres[b] - centres[a] - ground
            if np.hypot(*own) >= _STEP_PX:
                found.append((a, b, ground, own))
                break
    entire = [pair for pair in found if whole[pair[0]] and whole[pair[1]]]
    return thinned(entire if len(entire) >= _LEAST_WHOLE else found, _PAIRS)


def _goes_along(
    clip: ClipFrames, mask: np.ndarray, box: np.ndarray, a: int, b: int, ground: np.ndarray, way: np.ndarray
) -> bool:
    found = misses(clip, mask, box, a, b, ground, reach=float(np.abs(way).max()))
    if found is None:
        return False
    miss, shifts = found
    along = shifts @ way / float(way @ way)  # share of the mask's way
    went, stayed = miss[along >= 0.5], miss[np.hypot(shifts[..., 0], shifts[..., 1]) <= 1.5]
    return bool(went.size and stayed.size and stayed.min() >= _TELLING**2 and went.min() < _BETTER * stayed.min())


def misses(
    clip: ClipFrames, mask: np.ndarray, box: np.ndarray, a: int, b: int, ground: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """How well the picture inside a mask of frame `a` fits frame `b`, by how far it goes beyond the ground.

    Args:
        box: around the mask [4], as in `Extents`.
        ground: the ground's way there [2], px.
        reach: how far to look, px.

    Returns:
        mean squared differences [N, M] of grey levels, and the shifts [N, M, 2], px, they belong to; None when too
        little of the mask is left to compare.
    """
    x0, y0, x1, y1 = (int(side) for side in box)
    factor = min(1.0, _TEMPLATE_SIDE / max(x1 - x0, y1 - y0))
    gray = motion_model(clip).gray
    margin = int(np.ceil(reach + _MARGIN_PX / factor))
    # The window of frame b in which nothing has moved by itself, with room on all sides.
    left, top = round(x0 + ground[0]) - margin, round(y0 + ground[1]) - margin
    window = _cut(gray[b], top, left, (y1 - y0 + 2 * margin, x1 - x0 + 2 * margin))
    template, inside = gray[a][y0:y1, x0:x1], mask[y0:y1, x0:x1].astype(np.uint8) * 255
    if factor < 1:
        template, inside, window = (
            cv2.resize(part, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            for part in (template, inside, window)
        )
    weight = (inside > 127).astype(np.float32)
    # At its edge a mask holds some ground, which stays behind.
    core = cv2.erode(weight, np.ones((3, 3), np.uint8), iterations=2, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    weight = core if np.count_nonzero(core) >= _LEAST_CORE * np.count_nonzero(weight) else weight
    if np.count_nonzero(weight) < _LEAST_PIXELS:
        return None
    template, window = (cv2.GaussianBlur(part, (3, 3), 0).astype(np.float32) for part in (template, window))
    miss = cv2.matchTemplate(window, template, cv2.TM_SQDIFF, mask=weight) / weight.sum()
    ys, xs = np.mgrid[: miss.shape[0], : miss.shape[1]]
    return miss, np.stack([xs - margin * factor, ys - margin * factor], axis=-1) / factor


def _cut(picture: np.ndarray, top: int, left: int, size: tuple[int, int]) -> np.ndarray:
    """A part of a picture, its border repeated where the part lies outside."""
    rows = np.clip(np.arange(top, top + size[0]), 0, picture.shape[0] - 1)
    columns = np.clip(np.arange(left, left + size[1]), 0, picture.shape[1] - 1)
    return np.ascontiguousarray(picture[rows[:, None], columns[None]])
