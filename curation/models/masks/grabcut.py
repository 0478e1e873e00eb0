"""Mask tracker of the embedded default: follows a mask from frame to frame through the foreground of the motion model.

Two labels travel along: the object, and every other foreground near it. A foreground pixel goes to the label whose
moved mask is nearer, colours deciding where both claim it, so that objects that touch do not swallow one another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.contract.spans import mask_box
from curation.models.masks.protocol import MaskPrompt
from curation.models.objects.motion_model import LIKELY, POSSIBLE, MotionModel, motion_model
from curation.video.media import ClipFrames

_FAMILIAR = 110.0  # sum of the three channels' differences below which a pixel looks as it did
_LEAST_PX = 8  # working px below which nothing is seen of an object


class GrabCutConfig(Config):
    patience_seconds: float = Field(default=1.5, ge=0, description="how long a hidden object is looked for")
    min_likeness: float = Field(
        0.55, ge=0, le=1, description="share of familiar colours at which a hidden object is found again"
    )


@dataclass
class _Memory:
    """What is remembered of the object: how it looks, whole, and where it was last seen.

    Attributes:
        visible, other: uint8 [h, w] of 0 and 1: the object, and all other foreground, in the last frame.
        whole: float32 [h, w], belief that a pixel would be the object's if nothing hid it, moved along with it.
        look: float32 [h, w, 3], its colours where `whole` is above 0.
        velocity: float64 [2], working px per frame, smoothed.
        colours: float32 [512], histogram.
        area: px, of the whole object inside the frame.
    """

    visible: np.ndarray
    other: np.ndarray
    whole: np.ndarray
    look: np.ndarray
    velocity: np.ndarray
    colours: np.ndarray
    area: float


class GrabCutMasks:
    name = "grabcut-1"

    def __init__(self, config: GrabCutConfig) -> None:
        self._config = config

    def propagate(self, clip: ClipFrames, prompt: MaskPrompt, others: Sequence[np.ndarray] = ()) -> np.ndarray:
        """See MaskTracker."""
        masks = np.zeros(clip.gray.shape, bool)
        masks[prompt.frame] = prompt.mask
        for step in (1, -1):
            _Follower(clip, motion_model(clip), prompt, others, step, self._config).run(masks)
        return masks


class _Follower:
    """Follows one object in one direction of time."""

    def __init__(
        self,
        clip: ClipFrames,
        model: MotionModel,
        prompt: MaskPrompt,
        others: Sequence[np.ndarray],
        step: int,
        config: GrabCutConfig,
    ) -> None:
        self._clip = clip
        self._model = model
        self._others = others
        self._step = step
        self._config = config
        self._index = prompt.frame
        start = prompt.mask.astype(np.uint8)
        self._memory = _Memory(
            visible=start,
            other=self._rivals(prompt.frame, start),
            whole=start.astype(np.float32),
            look=clip.frames[prompt.frame].astype(np.float32),
            velocity=self._flow_to_next(prompt.frame, start),
            colours=_histogram(clip.frames[prompt.frame], start),
            area=float(start.sum()),
        )

    def run(self, masks: np.ndarray) -> None:
        """Fill `masks` up to the end of the clip, or until the object is gone."""
        patience = round(self._config.patience_seconds * float(self._clip.fps))
        hidden = 0
        while 0 <= self._index + self._step < self._clip.length:
            self._index += self._step
            found, contested = self._reappeared(hidden) if hidden else self._next()
            if found is None:
                if hidden == 0 and _at_border(self._memory):
                    return
                hidden += 1
                self._memory.other = self._likely(self._index)
                if hidden > patience:
                    return
                continue
            hidden = 0
            masks[self._index] = found > 0
            self._remember(found, contested)

    def _next(self) -> tuple[np.ndarray | None, bool]:
        """The object in this frame, and whether others touch it there; None when it is not seen."""
        memory = self._memory
        frame = self._clip.frames[self._index]
        moved = memory.velocity
        if not self._is_contested(memory.visible, memory.other):
            moved = self._flow_to_next(self._index - self._step, memory.visible)
        rows, columns = self._window(moved)
        if rows.stop - rows.start < 3 or columns.stop - columns.start < 3:
            return None, False
        free = self._free(rows, columns)
        pull = _pull(self._model.flow(self._index, self._index - self._step), rows, columns, memory.visible.shape)
        rival = cv2.remap(memory.other, *pull, cv2.INTER_NEAREST) & free
        mine = _shifted(memory.visible, moved, rows, columns)
        contested = bool(rival.any()) and self._is_contested(mine, rival & (1 - mine))
        evidence = self._model.evidence[self._index][rows, columns]
        if contested:
            moved = self._aligned(moved, rows, columns)
            mine = _shifted(memory.visible, moved, rows, columns)
        whole = _shifted(memory.whole, moved, rows, columns)
        memory.velocity = 0.6 * memory.velocity + 0.4 * moved
        memory.whole = _shifted(memory.whole, moved, slice(0, self._clip.height), slice(0, self._clip.width))
        memory.look = _shifted(memory.look, moved, slice(0, self._clip.height), slice(0, self._clip.width))
        expected = (whole > 0.5).astype(np.uint8)
        if mine.sum() < _LEAST_PX and expected.sum() < _LEAST_PX:
            return None, contested
        wanted = (evidence >= LIKELY) | ((evidence >= POSSIBLE) & (mine > 0))
        wanted &= free > 0
        if contested:
            wanted &= self._mine_rather(frame[rows, columns], rows, columns, expected, rival, pull)
            found = cv2.morphologyEx(wanted.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
            found = _touching(found, expected)
        else:
            found = cv2.morphologyEx(wanted.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
            found = _filled(_touching(found, mine)) & free
        if found.sum() < max(_LEAST_PX, 0.04 * memory.area if contested else 0):
            return None, contested
        full = np.zeros_like(memory.visible)
        full[rows, columns] = found
        return full, contested

    def _mine_rather(
        self,
        frame: np.ndarray,
        rows: slice,
        columns: slice,
        expected: np.ndarray,
        rival: np.ndarray,
        pull: tuple[np.ndarray, np.ndarray],
    ) -> np.ndarray:
        """bool: pixels of the window that are rather the object's than the others'.

        The object does not outgrow what is known of its shape while others touch it. Within, whoever's remembered
        colour fits better has the pixel; one that nobody claims must look as it did.
        """
        memory = self._memory
        before = self._clip.frames[self._index - self._step]
        theirs = cv2.remap(before, *pull, cv2.INTER_LINEAR).astype(np.float32)
        now = frame.astype(np.float32)
        miss_mine = cv2.blur(np.abs(now - memory.look[rows, columns]).sum(2), (5, 5))
        miss_theirs = cv2.blur(np.abs(now - theirs).sum(2), (5, 5))
        reach = cv2.dilate(expected, np.ones((3, 3), np.uint8)) > 0
        theirs_too = cv2.dilate(rival, np.ones((3, 3), np.uint8)) > 0
        return reach & np.where(theirs_too, miss_mine < miss_theirs, miss_mine < _FAMILIAR)

    def _aligned(self, moved: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
        """The motion near `moved` at which the remembered look of what was visible fits this frame best."""
        memory = self._memory
        box = mask_box(memory.visible > 0)
        if box is None or memory.visible.sum() < 40:
            return moved
        x0, y0, x1, y1 = box
        reach = 3 + int(0.2 * np.hypot(*moved))
        x, y = np.round(moved).astype(int)
        height, width = memory.visible.shape
        u0, v0, u1, v1 = x0 + x - reach, y0 + y - reach, x1 + x + reach, y1 + y + reach
        cut_x0, cut_y0 = max(0, -u0), max(0, -v0)
        cut_x1, cut_y1 = max(0, u1 - width), max(0, v1 - height)
        x0, y0, x1, y1 = x0 + cut_x0, y0 + cut_y0, x1 - cut_x1, y1 - cut_y1
        if x1 - x0 < 6 or y1 - y0 < 6:
            return moved
        look = memory.look[y0:y1, x0:x1].astype(np.uint8)
        weight = memory.visible[y0:y1, x0:x1]
        if weight.sum() < 40:
            return moved
        scene = self._clip.frames[self._index][y0 + y - reach : y1 + y + reach, x0 + x - reach : x1 + x + reach]
        misses = cv2.matchTemplate(scene, look, cv2.TM_SQDIFF, mask=np.dstack([weight] * 3))
        grid = np.arange(-reach, reach + 1)
        # Slight preference for the expected motion where the picture does not say.
        misses = misses / weight.sum() + 4.0 * (grid[:, None] ** 2 + grid[None] ** 2)
        at_y, at_x = np.unravel_index(int(misses.argmin()), misses.shape)
        return np.array([x + grid[at_x], y + grid[at_y]], np.float64)

    def _reappeared(self, hidden: int) -> tuple[np.ndarray | None, bool]:
        """The hidden object, when free foreground that nothing else explains shows its colours where it should be."""
        memory = self._memory
        everywhere = (slice(0, self._clip.height), slice(0, self._clip.width))
        memory.whole = _shifted(memory.whole, memory.velocity, *everywhere)
        memory.look = _shifted(memory.look, memory.velocity, *everywhere)
        box = mask_box(memory.whole > 0.5)
        if box is None:
            return None, True
        reach = 4 + hidden
        rows = _clip_range(box[1] - reach, box[3] + reach, self._clip.height)
        columns = _clip_range(box[0] - reach, box[2] + reach, self._clip.width)
        free = self._free(rows, columns)
        pull = _pull(self._model.flow(self._index, self._index - self._step), rows, columns, memory.visible.shape)
        known = cv2.dilate(cv2.remap(memory.other, *pull, cv2.INTER_NEAREST), np.ones((5, 5), np.uint8))
        new = (self._model.evidence[self._index][rows, columns] >= LIKELY).astype(np.uint8) & free & (1 - known)
        new = cv2.morphologyEx(new, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        count, labels, stats, _ = cv2.connectedComponentsWithStats(new)
        best, best_score = None, self._config.min_likeness
        for label in range(1, count):
            area = stats[label, cv2.CC_STAT_AREA]
            if not max(_LEAST_PX, 0.05 * memory.area) < area < 1.6 * memory.area:
                continue
            piece = (labels == label).astype(np.uint8)
            score = _familiar(self._clip.frames[self._index][rows, columns], piece, memory.colours)
            if score > best_score:
                best, best_score = piece, score
        if best is None:
            return None, True
        found = np.zeros_like(memory.visible)
        found[rows, columns] = _filled(best)
        return found, True

    def _remember(self, found: np.ndarray, contested: bool) -> None:
        memory = self._memory
        frame = self._clip.frames[self._index]
        memory.visible = found
        memory.other = self._rivals(self._index, found)
        seen = found > 0
        rate = 0.3 if contested else 1.0
        fresh = seen & (memory.whole < 0.05)
        memory.look[seen] += rate * (frame[seen] - memory.look[seen])
        memory.look[fresh] = frame[fresh]
        if contested:
            memory.whole[seen] = np.maximum(memory.whole[seen], 0.6)
            return
        area = float(found.sum())
        if area > 0.8 * memory.area:  # else something still may be hiding part of it
            memory.whole *= 0.9
        memory.whole[seen] = 1.0
        weight = 0.3 if area > 0.5 * memory.area else 0.05
        memory.area += weight * (area - memory.area)
        if area > 0.5 * memory.area:
            memory.colours = 0.9 * memory.colours + 0.1 * _histogram(frame, found)

    def _rivals(self, index: int, mine: np.ndarray) -> np.ndarray:
        """uint8 [h, w]: foreground that is something else: not a sliver at the object's edge, nor a loose piece of it.

        A loose piece is close to the object, smaller, and moves as it does.
        """
        everything = self._likely(index) & (1 - cv2.dilate(mine, np.ones((3, 3), np.uint8)))
        box = mask_box(mine > 0)
        assert box is not None
        reach = 12
        rows = _clip_range(box[1] - reach, box[3] + reach, self._clip.height)
        columns = _clip_range(box[0] - reach, box[2] + reach, self._clip.width)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(everything[rows, columns])
        if count == 1:
            return everything
        area = float(mine.sum())
        near = labels[cv2.dilate(mine[rows, columns], np.ones((9, 9), np.uint8)) > 0]
        touching = np.flatnonzero(np.bincount(near, minlength=count))
        following = min(max(index + self._step, 0), self._clip.length - 1)
        flow = self._model.flow(index, following) if following != index else None
        for label in touching[touching > 0]:
            size = stats[label, cv2.CC_STAT_AREA]
            loose = size < max(24, 0.04 * area)
            if not loose and size < 0.6 * area and flow is not None:
                piece = np.zeros_like(mine)
                piece[rows, columns] = labels == label
                own, its = _mask_motion(flow, mine), _mask_motion(flow, piece)
                loose = bool(np.hypot(*(own - its)) < 0.4 + 0.15 * np.hypot(*own) and np.hypot(*own) > 0.5)
            if loose:
                everything[rows, columns][labels == label] = 0
        return everything

    def _is_contested(self, mine: np.ndarray, other: np.ndarray) -> bool:
        return bool((cv2.dilate(mine, np.ones((7, 7), np.uint8)) & other).any())

    def _flow_to_next(self, index: int, mask: np.ndarray) -> np.ndarray:
        following = index + self._step
        if not 0 <= following < self._clip.length:
            return np.zeros(2)
        return _mask_motion(self._model.flow(index, following), mask)

    def _window(self, moved: np.ndarray) -> tuple[slice, slice]:
        """Rows and columns in which the object can be now."""
        box = mask_box((self._memory.whole > 0.5) | (self._memory.visible > 0))
        assert box is not None
        x, y = moved
        margin = 10 + 0.25 * max(box[2] - box[0], box[3] - box[1]) + 0.5 * np.hypot(x, y)
        rows = _clip_range(min(box[1], box[1] + y) - margin, max(box[3], box[3] + y) + margin, self._clip.height)
        columns = _clip_range(min(box[0], box[0] + x) - margin, max(box[2], box[2] + x) + margin, self._clip.width)
        return rows, columns

    def _free(self, rows: slice, columns: slice) -> np.ndarray:
        free = np.ones((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
        for other in self._others:
            free &= ~other[self._index, rows, columns]
        return free

    def _likely(self, index: int) -> np.ndarray:
        return (self._model.evidence[index] >= LIKELY).astype(np.uint8)


def _at_border(memory: _Memory) -> bool:
    """What was last seen was cut by the border and on its way out."""
    box = mask_box(memory.visible > 0)
    assert box is not None
    height, width = memory.visible.shape
    x, y = memory.velocity
    leaving_x = (box[0] <= 1 and x < 0) or (box[2] >= width - 1 and x > 0)
    leaving_y = (box[1] <= 1 and y < 0) or (box[3] >= height - 1 and y > 0)
    return leaving_x or leaving_y


def _shifted(image: np.ndarray, moved: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    """`image` moved by `moved` px, the part in rows and columns of it; zero where nothing comes from."""
    shift = np.array([[1, 0, moved[0] - columns.start], [0, 1, moved[1] - rows.start]], np.float64)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    return cv2.warpAffine(image, shift, size, flags=cv2.INTER_NEAREST)


def _familiar(picture: np.ndarray, mask: np.ndarray, colours: np.ndarray) -> float:
    """Share of the pixels under the mask whose colour is common on the object, 0..1."""
    bins = _bins(picture[mask > 0])
    return float(np.mean(colours[bins] > 0.25 / 64))


def _mask_motion(flow: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Median flow inside the mask, working px per frame."""
    inside = cv2.resize(mask, (flow.shape[1], flow.shape[0]), interpolation=cv2.INTER_AREA if mask.sum() > 64 else 0)
    values = flow[inside > 0]
    if len(values) == 0:
        ys, xs = np.nonzero(mask)
        y = int(ys.mean() * flow.shape[0] / mask.shape[0])
        x = int(xs.mean() * flow.shape[1] / mask.shape[1])
        return flow[y, x].astype(np.float64)
    return np.median(values, axis=0).astype(np.float64)


def _pull(flow: np.ndarray, rows: slice, columns: slice, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Maps for cv2.remap that fetch, for the pixels of a crop, where they were in the other frame."""
    fh, fw = flow.shape[:2]
    ys = np.arange(rows.start, rows.stop, dtype=np.float32)
    xs = np.arange(columns.start, columns.stop, dtype=np.float32)
    grid_y = np.clip((ys + 0.5) * fh / shape[0] - 0.5, 0, fh - 1).round().astype(int)
    grid_x = np.clip((xs + 0.5) * fw / shape[1] - 0.5, 0, fw - 1).round().astype(int)
    local = flow[grid_y[:, None], grid_x[None]]
    return local[..., 0] + xs[None], local[..., 1] + ys[:, None]


def _touching(found: np.ndarray, mine: np.ndarray) -> np.ndarray:
    """The connected parts of `found` that meet the moved mask."""
    count, labels = cv2.connectedComponents(found, connectivity=8)
    if count <= 2:
        return found if (found & mine).any() else np.zeros_like(found)
    hit = np.bincount(labels[mine > 0], minlength=count)
    size = np.bincount(labels.ravel(), minlength=count)
    keep = hit >= np.maximum(1, 0.15 * size)
    keep[0] = False
    return keep[np.asarray(labels)].astype(np.uint8)


def _filled(mask: np.ndarray) -> np.ndarray:
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(mask), outlines, -1, 1, thickness=cv2.FILLED)


def _histogram(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """float32 [512] colour histogram under the mask, 8 levels a channel, summing to 1."""
    counts = np.bincount(_bins(picture[mask > 0]), minlength=512).reshape(8, 8, 8).astype(np.float32)
    for axis in range(3):  # neighbouring bins share, so that a slight change of light does not move everything
        padded = np.pad(counts, [(1, 1) if a == axis else (0, 0) for a in range(3)])
        low, high = np.take(padded, range(8), axis), np.take(padded, range(2, 10), axis)
        counts = counts + 0.5 * (low + high)
    counts = counts.ravel()
    return counts / max(float(counts.sum()), 1e-9)


def _bins(pixels: np.ndarray) -> np.ndarray:
    """int32 [N] histogram bins of uint8 [N, 3] colours."""
    return (pixels[:, 0] >> 5).astype(np.int32) * 64 + (pixels[:, 1] >> 5) * 8 + (pixels[:, 2] >> 5)


def _clip_range(low: float, high: float, limit: int) -> slice:
    return slice(int(max(0, np.floor(low))), int(max(0, min(limit, np.ceil(high)))))
