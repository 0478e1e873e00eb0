"""Event accuracy: did the object come in, or go out, by the side where it should, and when.

No benchmark reports it; trajectory error misses it: an object that stops a few px before the region box is hardly off
its track, and yet never came in. The crossing is found in the masks of both videos by the rules that curation finds
events by (`curation/stages/events.py`, `region_events.py`).
"""

from typing import Literal, NamedTuple

import numpy as np

from curation.contract.spans import Span
from curation.stages.clip_masks import mask_extents
from curation.stages.events import Crossing, FrameEventsConfig, frame_crossings
from curation.stages.region_events import RegionEventsConfig, inside_areas, region_crossings
from eval.metrics.region import Box

Kind = Literal["frame_in", "frame_out"]


class EventScore(NamedTuple):
    """Attributes:
    side_right: the object crosses by the truth's side; frame_error: frames late (or early, below 0), None when it
    does not cross at all.
    """

    side_right: bool
    frame_error: int | None

    def within(self, tolerance: float) -> bool:
        """By the right side, at most `tolerance` compared frames off."""
        return self.side_right and self.frame_error is not None and abs(self.frame_error) <= tolerance


def region_crossing(masks: np.ndarray, box: Box, kind: Kind, fps: float) -> Crossing | None:
    """Where and when the object crosses the region box: its first entry (frame_in) or its last exit (frame_out).

    Args:
        masks: bool [T, H, W] on the canvas.
        fps: frames per second of the masks.
    """
    height, width = masks.shape[1:]
    extents = mask_extents(masks)
    known = Span(0, len(masks))
    at_border = frame_crossings(extents, known, (width, height), fps, FrameEventsConfig())
    wanted = "enter" if kind == "frame_in" else "exit"
    if tuple(box) == (0, 0, width, height):
        found = at_border
    else:
        config = RegionEventsConfig()
        corners = np.array(box, np.int64)
        seen = inside_areas(masks, corners[None].astype(np.float64))[:, 0] > config.least_share * extents.areas
        noise = max(2, round(config.gap_s * fps))
        found = region_crossings(seen, extents.boxes, corners, known, at_border, noise)
    found = [crossing for crossing in found if crossing.type == wanted]
    if not found:
        return None
    return found[0] if kind == "frame_in" else found[-1]


def event_score(crossing: Crossing | None, truth: Crossing | None) -> EventScore | None:
    """None when nothing crosses in the ground truth as it was seen: then nothing can be said."""
    if truth is None:
        return None
    if crossing is None:
        return EventScore(False, None)
    return EventScore(crossing.side == truth.side, crossing.frame - truth.frame)
