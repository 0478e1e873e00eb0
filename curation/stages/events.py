"""Border events: when and by which side an object comes into the frame or goes out of it.

An object is followed through its masks. A crossing is claimed only when the object is gone (or not yet there) on one
side of a moment, and on the other side its mask reaches the border, or would at its speed, and its far edge moves
across that border. What appears or vanishes elsewhere was hidden or lost, and is no event.
"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.contract.spans import Span, true_spans
from curation.contract.tables import Tables, records, table
from curation.stages.box_sampler import SIDES
from curation.stages.clip_masks import Extents, mask_extents, object_masks, track_span
from curation.stages.stage import ClipStage, Resources
from curation.video.media import ClipFrames

_LATEST = 4  # frames that tell the speed at the very border


class FrameEventsConfig(Config):
    """Tolerances are shares of the picture's size and times in seconds, so that they hold at every size and rate."""

    least_area: float = Field(default=5e-5, description="smallest mask that counts as seen, share of the frame")
    least_part: float = Field(
        default=0.05, description="a spell of smaller masks than this share of the largest is a slip of the mask"
    )
    least_rest: float = Field(
        default=0.03,
        description="a mask of less than this share of the largest within a second is what is left of it when the "
        "object has gone",
    )
    margin: float = Field(
        default=0.01, description="how far from the border a mask that touches it may stop, share of the long side"
    )
    sliver: float = Field(
        default=0.03,
        description="an object that was further inside and reaches only this far is nearly out, share of the long side",
    )
    least_move: float = Field(
        default=0.01, description="least motion of the far edge towards the border, share of the long side"
    )
    window_s: float = Field(default=0.4, description="time over which motion at the border is measured")
    extrapolate_s: float = Field(
        default=0.6, description="longest time by which a crossing may lie beyond the last mask"
    )
    gap_s: float = Field(default=0.1, description="shorter gaps between masks, and shorter spells of them, are noise")
    doubt_s: float = Field(
        default=1.0, description="after a shorter absence both its ends must cross the border, or neither did"
    )


class Crossing(NamedTuple):
    type: Literal["enter", "exit"]
    side: str
    frame: int
    """Clip-relative; enter: first frame with a part inside, exit: last such frame."""


class FrameEvents(ClipStage):
    """Writes the events of every object at the border of the frame."""

    name: ClassVar[str] = "events"
    reads: ClassVar[tuple[str, ...]] = ("objects.object_id", "tracks.masks")
    writes: ClassVar[tuple[str, ...]] = ("events",)
    resources = Resources()

    def __init__(self, config: FrameEventsConfig | None = None) -> None:
        self.config = config or FrameEventsConfig()

    def __call__(self, clip: ClipFrames, tables: Tables) -> Tables:
        events = []
        for track in records(tables["tracks"]):
            masks = object_masks(clip, track)
            if masks is None:
                continue
            extents, known = mask_extents(masks), track_span(clip, track)
            for crossing in frame_crossings(extents, known, (clip.width, clip.height), float(clip.fps), self.config):
                events.append(
                    {
                        "object_id": track["object_id"],
                        "clip_id": track["clip_id"],
                        "video_id": track["video_id"],
                        "boundary": "frame",
                        "type": crossing.type,
                        "side": crossing.side,
                        "frame": clip.start + crossing.frame,
                    }
                )
        return {"events": table("events", events)}


def frame_crossings(
    extents: Extents, known: Span, size: tuple[int, int], fps: float, config: FrameEventsConfig
) -> list[Crossing]:
    """Crossings of the frame's border, in order of time.

    Args:
        extents: of the masks over the clip; outside `known` nothing is assumed of the object.
        size: (width, height) of the masks, px.
    """
    seen = extents.areas >= max(1.0, config.least_area * size[0] * size[1])
    seen &= extents.areas >= config.least_rest * _largest_around(extents.areas, round(fps))
    seen[: known.start] = seen[known.end :] = False
    spells = seen_spells(seen, known, max(2, round(config.gap_s * fps)))
    part = config.least_part * extents.areas.max(initial=0)
    spells = [spell for spell in spells if extents.areas[spell.start : spell.end].max() >= part]

    enters: list[Crossing | None] = []
    exits: list[Crossing | None] = []
    for spell in spells:
        frames = spell.start + np.flatnonzero(seen[spell.start : spell.end])
        boxes = extents.boxes[frames]
        # An entry is an exit with time turned round. What is there at an end of `known` was or stays there.
        side, beyond = _crossed(-frames[::-1], boxes[::-1], size, fps, config)
        first, last = spell.start - beyond, spell.end - 1
        enters.append(Crossing("enter", side, first) if side and known.start < first else None)
        side, beyond = _crossed(frames, boxes, size, fps, config)
        last += beyond
        exits.append(Crossing("exit", side, last) if side and last < known.end - 1 else None)

    crossings = enters[:1]
    for index, (left, came_back) in enumerate(zip(exits, enters[1:], strict=False)):
        absence = spells[index + 1].start - spells[index].end
        overlap = left is not None and came_back is not None and left.frame >= came_back.frame
        doubtful = absence < config.doubt_s * fps and (left is None or came_back is None)
        if not (overlap or doubtful):
            crossings += [left, came_back]
    crossings += exits[-1:]
    return [crossing for crossing in crossings if crossing]


def _largest_around(areas: np.ndarray, reach: int) -> np.ndarray:
    """The largest of areas [T] within `reach` frames of each."""
    padded = np.pad(areas, reach, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1)


def seen_spells(seen: np.ndarray, known: Span, noise: int) -> list[Span]:
    """Maximal spells of true frames of `seen` [T] bool; gaps shorter than `noise` are closed, shorter spells dropped.

    A short spell at an end of `known` is kept: it may be longer than what is known of it.
    """
    merged: list[Span] = []
    for start, end in true_spans(seen):
        if merged and start - merged[-1].end < noise:
            start = merged.pop().start
        merged.append(Span(start, end))
    return [s for s in merged if s.length >= noise or s.start == known.start or s.end == known.end]


def _crossed(
    frames: np.ndarray, boxes: np.ndarray, size: tuple[int, int], fps: float, config: FrameEventsConfig
) -> tuple[str | None, int]:
    """The side by which an object goes out after the last of `frames`, and for how many frames a part stays inside.

    Of the sides that it could leave by, it is the one that its far edge crosses first: this settles corners, and masks
    that touch two sides. None when it goes out by no side.

    Args:
        frames: ascending frames in which it is seen.
        boxes: its mask's box in each of them.
    """
    width, height = size
    long_side = max(size)
    near = {"left": boxes[:, 0], "right": width - boxes[:, 2], "top": boxes[:, 1], "bottom": height - boxes[:, 3]}
    far = {"left": boxes[:, 2], "right": width - boxes[:, 0], "top": boxes[:, 3], "bottom": height - boxes[:, 1]}
    inside = {side: float(far[side].max()) for side in SIDES}
    window = frames > frames[-1] - max(4, round(config.window_s * fps))
    frames = frames[window]
    near, far = ({side: part[side][window] for side in SIDES} for part in (near, far))

    soonest: tuple[float, str] | None = None
    for side in SIDES:
        speed = -_slope(frames, far[side])
        moves = speed > 0 and speed * (frames[-1] - frames[0]) >= config.least_move * long_side
        reach = config.margin * long_side + (speed if moves else 0)
        if near[side][-2:].min() > reach:
            continue
        if moves:
            latest = -_slope(frames[-_LATEST:], far[side][-_LATEST:])  # what is pulled out goes faster and faster
            left = float(far[side][-1] / max(speed, latest))
        elif far[side][-1] <= config.sliver * long_side < inside[side]:
            left = 1.0
        else:
            continue
        if left <= 1 + config.extrapolate_s * fps and (soonest is None or left < soonest[0]):
            soonest = (left, side)
    return (soonest[1], max(0, int(np.ceil(soonest[0])) - 1)) if soonest else (None, 0)


def _slope(times: np.ndarray, values: np.ndarray) -> float:
    """Theil-Sen slope: the median over all pairs, so that a few bad masks do not matter. 0 for a single value."""
    first, second = np.triu_indices(len(times), k=1)
    return float(np.median((values[second] - values[first]) / (times[second] - times[first]))) if first.size else 0.0
