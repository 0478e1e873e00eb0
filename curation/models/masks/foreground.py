"""Mask tracker of the embedded default: follows a mask from frame to frame through the foreground of the motion model.

Alone, the object is the foreground that its moved mask meets. Where other foreground touches it, what is remembered of
its shape and colours decides pixel by pixel, so that objects that meet or hide one another keep apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.contract.mask_tube import MaskTube
from curation.contract.spans import mask_box
from curation.models.masks.align import aligned
from curation.models.masks.colours import colour_histogram, colour_miss, familiar_share
from curation.models.masks.pieces import filled, meeting, met_foreground
from curation.models.masks.protocol import MaskPrompt
from curation.models.masks.sharpened import sharpened
from curation.models.masks.together import follow_two
from curation.models.masks.windows import Window, carried, clip_range, fetched, in_frame
from curation.models.objects.motion_model import LIKELY, POSSIBLE, mask_motion, motion_model
from curation.video.media import ClipFrames

_LEAST_PX = 8  # working px below which nothing is seen of an object
_FAMILIAR = 110.0  # sum of the three channels' differences below which a pixel looks as it did
_LEAST_FLOW = 0.5  # px per frame below which the direction of motion says nothing
_SQUARE_3, _SQUARE_5, _SQUARE_7 = (np.ones((side, side), np.uint8) for side in (3, 5, 7))


class ForegroundConfig(Config):
    patience_seconds: float = Field(default=1.5, ge=0, description="how long a hidden object is looked for")
    min_likeness: float = Field(
        default=0.55, ge=0, le=1, description="share of familiar colours at which a hidden object is found again"
    )


class ForegroundMasks:
    name = "foreground-1"

    def __init__(self, config: ForegroundConfig) -> None:
        self._config = config

    def propagate(self, clip: ClipFrames, prompt: MaskPrompt, others: Sequence[np.ndarray] = ()) -> np.ndarray:
        """See MaskTracker."""
        masks = np.zeros(clip.gray.shape, bool)
        masks[prompt.frame] = prompt.mask
        if prompt.mask.any():
            for step in (1, -1):
                _Follower(clip, prompt, others, step, self._config).run(masks)
        return masks

    def follow_two(
        self, clip: ClipFrames, frame: int, masks: tuple[np.ndarray, np.ndarray], step: int
    ) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray], bool]]:
        """See MaskTracker."""
        return follow_two(clip, frame, masks, step)

    def sharpened(self, clip: ClipFrames, masks: MaskTube, others: Sequence[MaskTube]) -> MaskTube:
        """See MaskTracker."""
        return sharpened(clip, masks, others)


@dataclass
class _Memory:
    """What is remembered of the object: how it looks, whole, and where it was last seen. [h, w] is the window's size.

    Attributes:
        window: part of the frame that the pictures cover.
        visible, other: uint8 [h, w] of 0 and 1: the object, and all other foreground, in the last frame.
        whole: uint8 [h, w], belief (0..255) that a pixel would be the object's if nothing hid it, moved along with it.
        look: uint8 [h, w, 3], its colours where `whole` is above 0.
        velocity: float64 [2], working px per frame, smoothed.
        colours: float32 [512], histogram.
        area: px, of the whole object inside the frame.
        leaving: the border cut it, and it was on its way out.
        apart: nothing else touched it when it was last seen.
    """

    window: Window
    visible: np.ndarray
    other: np.ndarray
    whole: np.ndarray
    look: np.ndarray
    velocity: np.ndarray
    colours: np.ndarray
    area: float
    leaving: bool = False
    apart: bool = True


class _Follower:
    """Follows one object in one direction of time."""

    def __init__(
        self, clip: ClipFrames, prompt: MaskPrompt, others: Sequence[np.ndarray], step: int, config: ForegroundConfig
    ) -> None:
        self._clip = clip
        self._model = motion_model(clip)
        self._others = others
        self._step = step
        self._config = config
        self._index = prompt.frame
        window = self._around(mask_box(prompt.mask) or [0, 0, 1, 1], 10.0)
        visible = window.of(prompt.mask).astype(np.uint8)
        look = window.of(clip.frames[prompt.frame]).copy()
        self._memory = _Memory(
            window=window,
            visible=visible,
            other=self._rivals(prompt.frame, window, visible),
            whole=visible * np.uint8(255),
            look=look,
            velocity=self._motion(prompt.frame, window, visible),
            colours=colour_histogram(look, visible),
            area=float(visible.sum()),
        )

    def run(self, masks: np.ndarray) -> None:
        """Fill `masks` up to the end of the clip, or until the object is gone."""
        patience = round(self._config.patience_seconds * float(self._clip.fps))
        memory = self._memory
        hidden = 0
        while 0 <= self._index + self._step < self._clip.length:
            self._index += self._step
            found, contested = (None, False) if hidden else self._next()
            if not hidden:
                memory.apart = not contested
            # Hidden, or faster than its flow says; what goes out by the border does not come to lie inside at once.
            if found is None and not contested and not memory.leaving:
                found, contested = self._reappeared(hidden), True
            if found is not None:
                hidden = 0
                memory.window.of(masks[self._index])[:] = found > 0
                self._remember(found, contested)
                continue
            hidden += 1
            if memory.leaving or hidden > patience:
                return

    def _next(self) -> tuple[np.ndarray | None, bool]:
        """The object in this frame, and whether others touch it there; None when it is not seen.

        The memory is moved along, to the window in which the object can be now; the mask is in that window.
        """
        memory, old = self._memory, self._memory.window
        moved = memory.velocity
        # The flow of a sliver beside what hides it, or of one of two that touch, is as likely that of the other.
        if memory.visible.sum() > 0.5 * memory.area and not _touch(memory.visible, memory.other):
            moved = self._motion(self._index - self._step, old, memory.visible)
            moved = self._likelier(moved)
        window = self._reach(moved)
        if min(window.size) < 3:
            return None, False
        free = self._free(window)
        pull = self._pull(window)
        rival = fetched(memory.other, pull, old) & free
        mine = carried(memory.visible, old, moved, window)
        evidence = window.of(self._model.evidence[self._index])
        alone = met_foreground(evidence, mine, free)
        contested = bool(rival.any()) and _touch(mine, rival & (1 - mine))
        contested = contested or int(np.count_nonzero(alone & rival)) > max(20.0, 0.05 * memory.area)
        if contested:
            moved = aligned(self._clip.frames[self._index], memory.look, memory.visible, old, moved)
            mine = carried(memory.visible, old, moved, window)
        self._carry(moved, window)
        memory.other = rival
        memory.velocity = 0.6 * memory.velocity + 0.4 * moved
        expected = (memory.whole > 127).astype(np.uint8)
        if mine.sum() < _LEAST_PX and expected.sum() < _LEAST_PX:
            return None, contested
        found = alone
        if contested:
            likely = ((evidence >= LIKELY) | ((evidence >= POSSIBLE) & (mine > 0))) & (free > 0)
            own = likely & self._mine_rather(expected, rival, pull)
            found = meeting(cv2.morphologyEx(own.astype(np.uint8), cv2.MORPH_OPEN, _SQUARE_3), expected)
        if found.sum() < max(_LEAST_PX, 0.04 * memory.area if contested else 0):
            return None, contested
        return found, contested

    def _likelier(self, flowed: np.ndarray) -> np.ndarray:
        """The motion by the flow, or as before where that misses: flow is blind to small things that go fast."""
        memory = self._memory
        window = self._reach(flowed)
        if min(window.size) < 3:
            return flowed
        likely = self._likely(self._index, window)
        met = [
            np.count_nonzero(carried(memory.visible, memory.window, moved, window) & likely)
            for moved in (flowed, memory.velocity)
        ]
        return memory.velocity if met[0] < 0.5 * memory.visible.sum() and met[1] > 1.5 * met[0] else flowed

    def _mine_rather(self, expected: np.ndarray, rival: np.ndarray, pull: np.ndarray) -> np.ndarray:
        """bool: pixels of the window that are rather the object's than the others'.

        The object does not outgrow what is known of its shape while others touch it. Within, whoever's remembered
        colour fits better has the pixel; one that nobody claims must look as it did.
        """
        memory = self._memory
        before = self._clip.frames[self._index - self._step]
        theirs = cv2.remap(before, pull[..., 0], pull[..., 1], cv2.INTER_LINEAR)
        now = memory.window.of(self._clip.frames[self._index])
        miss_mine = colour_miss(now, memory.look)
        reach = cv2.dilate(expected, _SQUARE_3) > 0
        claimed = cv2.dilate(rival, _SQUARE_3) > 0
        return reach & np.where(claimed, miss_mine < colour_miss(now, theirs), miss_mine < _FAMILIAR)

    def _reappeared(self, hidden: int) -> np.ndarray | None:
        """The lost object, when free foreground that nothing else explains shows its colours where it can be.

        Args:
            hidden: frames before this one in which it was not seen.
        """
        memory, old = self._memory, self._memory.window
        box = mask_box(memory.whole > 127)
        if box is None:
            return None
        # Else `_next` has moved what is remembered to this frame already, by a motion that did not lead to the object.
        moved = memory.velocity if hidden else np.zeros(2)
        margin = 4 + hidden + (0.5 * max(box[2] - box[0], box[3] - box[1]) if memory.apart else 0)
        window = self._around(in_frame(box, old, moved), margin)
        if min(window.size) < 3:
            return None
        if hidden:
            # All that was there a frame ago is something else, wherever it comes from.
            before = (self._model.evidence[self._index - self._step] >= LIKELY).astype(np.uint8)
            pull = self._pull(window)
            other = cv2.remap(before, pull[..., 0], pull[..., 1], cv2.INTER_NEAREST)
        else:
            other = carried(memory.other, old, moved, window)
        known = cv2.dilate(other, _SQUARE_5)
        self._carry(moved, window)
        memory.other = other
        new = np.asarray(self._likely(self._index, window) & self._free(window) & (1 - known), np.uint8)
        new = cv2.morphologyEx(new, cv2.MORPH_OPEN, _SQUARE_3)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(new)
        best, best_score = None, self._config.min_likeness
        for label in range(1, count):
            area = stats[label, cv2.CC_STAT_AREA]
            if not max(_LEAST_PX, 0.05 * memory.area) < area < 1.6 * memory.area:
                continue
            piece = (labels == label).astype(np.uint8)
            score = familiar_share(window.of(self._clip.frames[self._index]), piece, memory.colours)
            if score > best_score:
                best, best_score = piece, score
        if best is None:
            return None
        if not hidden:
            here, there = mask_box(best > 0) or [0, 0, 0, 0], mask_box(memory.whole > 127) or [0, 0, 0, 0]
            memory.velocity = memory.velocity + np.subtract(_centre(here), _centre(there))
        return filled(best)

    def _remember(self, found: np.ndarray, contested: bool) -> None:
        memory = self._memory
        frame = memory.window.of(self._clip.frames[self._index])
        memory.visible = found
        memory.other = self._rivals(self._index, memory.window, found, memory.other if contested else None)
        memory.leaving = self._is_leaving(found)
        seen = found > 0
        if contested:
            known = memory.whole > 12
            mixed = cv2.addWeighted(memory.look, 0.7, frame, 0.3, 0)
            memory.look[seen & known] = mixed[seen & known]
            memory.look[seen & ~known] = frame[seen & ~known]
            memory.whole[seen] = np.maximum(memory.whole[seen], 153)
            return
        memory.look[seen] = frame[seen]
        area = float(found.sum())
        if area > 0.8 * memory.area:  # else something that stands still may be hiding part of it
            memory.whole = cv2.convertScaleAbs(memory.whole, alpha=0.9)
        memory.whole[seen] = 255
        memory.area += (0.3 if area > memory.area else 0.05) * (area - memory.area)
        if area > 0.5 * memory.area:
            memory.colours = 0.9 * memory.colours + 0.1 * colour_histogram(frame, found)

    def _rivals(self, index: int, window: Window, mine: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
        """uint8 [h, w]: foreground that is something else: not a sliver at the object's edge, nor a loose piece of it.

        A loose piece is close to the object, smaller, and moves as it does. What was `known` (uint8 [h, w]) as
        something else while it touched the object stays so: there the flow of one spreads into the other.
        """
        everything = np.asarray(self._likely(index, window) & (1 - cv2.dilate(mine, _SQUARE_3)), np.uint8)
        if not everything.any():
            return everything
        count, labels, stats, _ = cv2.connectedComponentsWithStats(everything)
        area = float(mine.sum())
        close = np.bincount(labels[cv2.dilate(mine, np.ones((9, 9), np.uint8)) > 0], minlength=count)
        stood = np.bincount(labels[known > 0], minlength=count) if known is not None else np.zeros(count)
        for label in range(1, count):
            size = stats[label, cv2.CC_STAT_AREA]
            loose = size < max(24, 0.04 * area)
            if not loose and close[label] and size < 0.6 * area and stood[label] < 0.5 * size:
                own = self._motion(index, window, mine)
                apart = own - self._motion(index, window, (labels == label).astype(np.uint8))
                speed = float(np.hypot(*own))
                loose = speed > _LEAST_FLOW and float(np.hypot(*apart)) < 0.4 + 0.15 * speed
            if loose:
                everything[labels == label] = 0
        return everything

    def _is_leaving(self, found: np.ndarray) -> bool:
        x0, y0, x1, y1 = in_frame(mask_box(found > 0) or [0, 0, 1, 1], self._memory.window)
        x, y = self._memory.velocity
        sideways = (x0 <= 1 and x < 0) or (x1 >= self._clip.width - 1 and x > 0)
        return bool(sideways or (y0 <= 1 and y < 0) or (y1 >= self._clip.height - 1 and y > 0))

    def _carry(self, moved: np.ndarray, window: Window) -> None:
        """Move what is remembered of the object's looks, into another window."""
        memory = self._memory
        memory.whole = carried(memory.whole, memory.window, moved, window)
        memory.look = carried(memory.look, memory.window, moved, window)
        memory.window = window

    def _motion(self, index: int, window: Window, mask: np.ndarray) -> np.ndarray:
        """Median flow inside the mask from frame `index` to the next one in this direction, working px."""
        following = index + self._step
        if not 0 <= following < self._clip.length:
            return np.zeros(2)
        return mask_motion(self._model.flow(index, following), mask, window, self._clip.height, self._clip.width)

    def _pull(self, window: Window) -> np.ndarray:
        """float32 [h, w, 2]: where the pixels of the window were in the frame before, frame px."""
        flow = self._model.flow(self._index, self._index - self._step)
        fh, fw = flow.shape[:2]
        ys = np.arange(window.rows.start, window.rows.stop)
        xs = np.arange(window.columns.start, window.columns.stop)
        rows = np.minimum((ys + 0.5) * fh / self._clip.height, fh - 1).astype(int)
        columns = np.minimum((xs + 0.5) * fw / self._clip.width, fw - 1).astype(int)
        pull = flow[rows[:, None], columns[None]].astype(np.float32)
        pull[..., 0] += xs[None]
        pull[..., 1] += ys[:, None]
        return pull

    def _reach(self, moved: np.ndarray) -> Window:
        """The part of the frame in which the object can be now."""
        memory = self._memory
        box = mask_box((memory.whole > 127) | (memory.visible > 0)) or [0, 0, 1, 1]
        here, there = np.array(in_frame(box, memory.window)), np.array(in_frame(box, memory.window, moved))
        both = [*np.minimum(here, there)[:2], *np.maximum(here, there)[2:]]
        return self._around(both, 10 + 0.25 * max(box[2] - box[0], box[3] - box[1]) + 0.5 * float(np.hypot(*moved)))

    def _around(self, box: Sequence[float], margin: float) -> Window:
        x0, y0, x1, y1 = box
        return Window(
            clip_range(y0 - margin, y1 + margin, self._clip.height),
            clip_range(x0 - margin, x1 + margin, self._clip.width),
        )

    def _free(self, window: Window) -> np.ndarray:
        """uint8 [h, w]: 1 where no object that was found before is."""
        free = np.ones(window.size[::-1], bool)
        for other in self._others:
            free &= ~window.of(other[self._index])
        return free.astype(np.uint8)

    def _likely(self, index: int, window: Window) -> np.ndarray:
        return (window.of(self._model.evidence[index]) >= LIKELY).astype(np.uint8)


def _touch(mine: np.ndarray, other: np.ndarray) -> bool:
    return bool((cv2.dilate(mine, _SQUARE_7) & other).any())


def _centre(box: Sequence[float]) -> np.ndarray:
    return np.array([box[0] + box[2], box[1] + box[3]]) / 2
