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

_LEAST_PX = 8  # working px below which nothing is seen of an object


class GrabCutConfig(Config):
    patience_seconds: float = Field(default=1.5, ge=0, description="how long a hidden object is looked for")
    min_likeness: float = Field(
        0.55, ge=0, le=1, description="colour similarity at which a hidden object is found again"
    )


@dataclass
class _State:
    """Where the object was last seen. mask, other: uint8 [h, w] of 0 and 1; velocity: working px per frame."""

    mask: np.ndarray
    other: np.ndarray
    velocity: np.ndarray
    colours: np.ndarray
    area: float


class GrabCutMasks:
    name = "grabcut-1"

    def __init__(self, config: GrabCutConfig) -> None:
        self._config = config

    def propagate(self, clip: ClipFrames, prompt: MaskPrompt, others: Sequence[np.ndarray] = ()) -> np.ndarray:
        """See MaskTracker."""
        model = motion_model(clip)
        masks = np.zeros(clip.gray.shape, bool)
        masks[prompt.frame] = prompt.mask
        for step in (1, -1):
            self._follow(clip, model, prompt, others, step, masks)
        return masks

    def _follow(
        self,
        clip: ClipFrames,
        model: MotionModel,
        prompt: MaskPrompt,
        others: Sequence[np.ndarray],
        step: int,
        masks: np.ndarray,
    ) -> None:
        """Fill `masks` from the prompt's frame to one end of the clip."""
        start = prompt.mask.astype(np.uint8)
        state = _State(
            mask=start,
            other=((model.evidence[prompt.frame] >= LIKELY) & ~prompt.mask).astype(np.uint8),
            velocity=_mask_motion(model.flow(prompt.frame, _clamp(prompt.frame + step, clip.length)), start),
            colours=_histogram(clip.frames[prompt.frame], start),
            area=float(start.sum()),
        )
        patience = round(self._config.patience_seconds * float(clip.fps))
        hidden = 0
        index = prompt.frame
        while 0 <= index + step < clip.length:
            index += step
            taken = _union(others, index, start.shape)
            if hidden:
                found = self._look_for(clip, model, state, index, hidden, taken)
            else:
                found = _next_mask(clip, model, state, index, step, taken)
            if found is None:
                hidden += 1
                if hidden > patience or _outside(state, hidden):
                    return
                continue
            hidden = 0
            masks[index] = found > 0
            _update(state, clip, model, index, step, found)

    def _look_for(
        self, clip: ClipFrames, model: MotionModel, state: _State, index: int, hidden: int, taken: np.ndarray
    ) -> np.ndarray | None:
        """The hidden object, if free foreground of its colours and size shows up about where it should be."""
        box = mask_box(state.mask > 0)
        assert box is not None
        reach = 0.6 * max(box[2] - box[0], box[3] - box[1]) + 2.0 * hidden
        shift = state.velocity * hidden
        rows = _clip_range(box[1] + shift[1] - reach, box[3] + shift[1] + reach, clip.height)
        columns = _clip_range(box[0] + shift[0] - reach, box[2] + shift[0] + reach, clip.width)
        if rows.stop - rows.start < 2 or columns.stop - columns.start < 2:
            return None
        free = ((model.evidence[index][rows, columns] >= LIKELY) & (taken[rows, columns] == 0)).astype(np.uint8)
        free = cv2.morphologyEx(free, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        count, labels, stats, _ = cv2.connectedComponentsWithStats(free)
        best, best_score = None, self._config.min_likeness
        for label in range(1, count):
            area = stats[label, cv2.CC_STAT_AREA]
            if not 0.15 * state.area < area < 3 * state.area:
                continue
            piece = (labels == label).astype(np.uint8)
            score = _likeness(_histogram(clip.frames[index][rows, columns], piece), state.colours)
            if score > best_score:
                best, best_score = piece, score
        if best is None:
            return None
        found = np.zeros_like(state.mask)
        found[rows, columns] = _filled(best)
        return found


def _next_mask(
    clip: ClipFrames, model: MotionModel, state: _State, index: int, step: int, taken: np.ndarray
) -> np.ndarray | None:
    """The object in frame `index`, from where it was in the frame before; None when it is not seen."""
    box = mask_box(state.mask > 0)
    assert box is not None
    x, y = state.velocity
    margin = 8 + 0.25 * max(box[2] - box[0], box[3] - box[1]) + 0.5 * np.hypot(x, y)
    rows = _clip_range(min(box[1], box[1] + y) - margin, max(box[3], box[3] + y) + margin, clip.height)
    columns = _clip_range(min(box[0], box[0] + x) - margin, max(box[2], box[2] + x) + margin, clip.width)
    if rows.stop - rows.start < 2 or columns.stop - columns.start < 2:
        return None
    shift = np.array([[1, 0, x], [0, 1, y]], np.float32)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    mine = cv2.warpAffine(state.mask[rows, columns], shift, size, flags=cv2.INTER_NEAREST)
    if mine.sum() < _LEAST_PX and state.area > 4 * _LEAST_PX:
        return None
    evidence = model.evidence[index][rows, columns]
    away = cv2.distanceTransform(1 - mine, cv2.DIST_L2, 3)
    wanted = (evidence >= LIKELY) | ((evidence >= POSSIBLE) & (mine > 0))
    wanted &= taken[rows, columns] == 0
    pull = _pull(model.flow(index, index - step), rows, columns, state.mask.shape)
    rest = cv2.remap(state.other, pull[0], pull[1], cv2.INTER_NEAREST) & (1 - mine)
    if rest.any():
        rival = cv2.distanceTransform(1 - rest, cv2.DIST_L2, 3)
        wanted &= away <= rival
    # Free foreground may be far from the moved mask when the object grows into the frame; beside others it may not.
    limit = 3.0 + 0.12 * np.sqrt(state.area) if rest.any() else np.inf
    wanted &= away <= limit
    found = cv2.morphologyEx(wanted.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    found = _touching(found, mine)
    found = _filled(found) & (taken[rows, columns] == 0).astype(np.uint8)
    if found.sum() < max(_LEAST_PX, 0.02 * state.area):
        return None
    full = np.zeros_like(state.mask)
    full[rows, columns] = found
    return full


def _update(state: _State, clip: ClipFrames, model: MotionModel, index: int, step: int, found: np.ndarray) -> None:
    state.mask = found
    near = cv2.dilate(found, np.ones((3, 3), np.uint8))
    state.other = ((model.evidence[index] >= LIKELY) & (near == 0)).astype(np.uint8)
    following = _clamp(index + step, clip.length)
    if following != index:
        motion = _mask_motion(model.flow(index, following), found)
        state.velocity = motion
    area = float(found.sum())
    if area > 0.5 * state.area:
        state.colours = 0.9 * state.colours + 0.1 * _histogram(clip.frames[index], found)
        state.area = 0.8 * state.area + 0.2 * area
    else:
        state.area = 0.95 * state.area + 0.05 * area


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
    pixels = picture[mask > 0]
    bins = (pixels[:, 0] >> 5).astype(np.int32) * 64 + (pixels[:, 1] >> 5) * 8 + (pixels[:, 2] >> 5)
    counts = np.bincount(bins, minlength=512).reshape(8, 8, 8).astype(np.float32)
    for axis in range(3):  # neighbouring bins share, so that a slight change of light does not move everything
        padded = np.pad(counts, [(1, 1) if a == axis else (0, 0) for a in range(3)])
        low, high = np.take(padded, range(8), axis), np.take(padded, range(2, 10), axis)
        counts = counts + 0.5 * (low + high)
    counts = counts.ravel()
    return counts / max(float(counts.sum()), 1e-9)


def _likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Bhattacharyya coefficient of two histograms, 0..1."""
    return float(np.sqrt(a * b).sum())


def _outside(state: _State, hidden: int) -> bool:
    """The object, had it gone on as it did, is out of the frame for good."""
    box = mask_box(state.mask > 0)
    assert box is not None
    height, width = state.mask.shape
    x, y = state.velocity * (hidden + 3)
    return box[2] + x < 2 or box[0] + x > width - 2 or box[3] + y < 2 or box[1] + y > height - 2


def _union(others: Sequence[np.ndarray], index: int, shape: tuple[int, int]) -> np.ndarray:
    taken = np.zeros(shape, np.uint8)
    for other in others:
        taken |= other[index].view(np.uint8)
    return taken


def _clip_range(low: float, high: float, limit: int) -> slice:
    return slice(int(max(0, np.floor(low))), int(max(0, min(limit, np.ceil(high)))))


def _clamp(index: int, length: int) -> int:
    return min(max(index, 0), length - 1)
