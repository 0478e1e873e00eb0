"""Region events: when and by which side an object crosses the border of a region box."""

from typing import Any, ClassVar, Literal

import cv2
import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.contract.mask_tube import Masks
from curation.contract.spans import Span
from curation.contract.tables import Tables, records, table
from curation.stages.box_sampler import waiting_side
from curation.stages.clip_masks import mask_extents, object_masks, track_span
from curation.stages.events import Crossing, seen_spells
from curation.stages.stage import ClipStage, Resources
from curation.video.media import ClipFrames


class RegionEventsConfig(Config):
    least_share: float = Field(
        default=0.02, description="smaller parts of the object inside a box are taken for errors of the mask"
    )
    gap_s: float = Field(default=0.1, description="shorter spells inside or outside a box are noise")


class RegionEvents(ClipStage):
    """Appends to `events` the crossings of every box of `objects.starts`, from its start frame on.

    The whole frame as a region box is left out: its crossings are the frame events.
    """

    name: ClassVar[str] = "region_events"
    reads: ClassVar[tuple[str, ...]] = ("objects.starts", "tracks.masks", "events")
    writes: ClassVar[tuple[str, ...]] = ("events",)
    resources = Resources()

    def __init__(self, config: RegionEventsConfig | None = None) -> None:
        self.config = config or RegionEventsConfig()

    def __call__(self, clip: ClipFrames, tables: Tables) -> Tables:
        events = records(tables["events"])
        tracks = {track["object_id"]: track for track in records(tables["tracks"])}
        for item in records(tables["objects"]):
            track = tracks.get(item["object_id"])
            masks = object_masks(clip, track) if track else None
            if track is None or masks is None:
                continue
            own = [event for event in events if event["object_id"] == item["object_id"]]
            known = track_span(clip, track)
            for box, crossing in self._crossings(clip, masks, known, item["starts"], own):
                events.append(
                    {
                        "object_id": item["object_id"],
                        "clip_id": item["clip_id"],
                        "video_id": item["video_id"],
                        "boundary": "region",
                        "type": crossing.type,
                        "side": crossing.side,
                        "frame": clip.start + crossing.frame,
                        "region_box": box,
                    }
                )
        return {"events": table("events", events)}

    def _crossings(
        self,
        clip: ClipFrames,
        masks: Masks,
        known: Span,
        starts: list[dict[str, Any]],
        frame_events: list[dict[str, Any]],
    ) -> list[tuple[list[int], Crossing]]:
        canvas = [0, 0, clip.source_width, clip.source_height]
        areas, outlines = mask_extents(masks)
        outlines *= np.tile(clip.scale, 2)
        at_border = [Crossing(e["type"], e["side"], e["frame"] - clip.start) for e in frame_events]
        noise = max(2, round(self.config.gap_s * float(clip.fps)))

        # One box may belong to several start frames; the earliest covers what the later ones would find.
        since: dict[tuple[int, ...], int] = {}
        for start in sorted(starts, key=lambda start: start["start_frame"]):
            for box in (*start["region_boxes"], *start["leave_boxes"]):
                if list(box) != canvas:
                    since.setdefault(tuple(box), start["start_frame"] - clip.start)
        if not since:
            return []

        boxes = np.array(list(since), dtype=np.int64)
        inside = inside_areas(masks, boxes / np.tile(clip.scale, 2))
        found = []
        for index, (box, first) in enumerate(since.items()):
            seen = inside[:, index] > self.config.least_share * areas
            span = Span(max(first, known.start), known.end)
            for crossing in region_crossings(seen, outlines, boxes[index], span, at_border, noise):
                found.append((list(box), crossing))
        return found


def inside_areas(masks: Masks, boxes: np.ndarray) -> np.ndarray:
    """How much of each mask of bool [T, h, w] lies in each box of [N, 4], px: int64 [T, N]."""
    x0, y0, x1, y1 = np.round(boxes).astype(np.int64).T
    areas = np.zeros((len(masks), len(boxes)), np.int64)
    for index in np.flatnonzero(mask_extents(masks).areas):
        sums = cv2.integral(masks[index].view(np.uint8))
        areas[index] = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    return areas


def region_crossings(
    seen: np.ndarray, outlines: np.ndarray, box: np.ndarray, span: Span, at_border: list[Crossing], noise: int
) -> list[Crossing]:
    """Crossings of one region box within a span of the clip.

    The side is where the object is just outside the box. When it is not seen there, it either crosses the border of
    the frame at that moment, which then gives side and frame, or was hidden or lost, which is no event.

    Args:
        seen: bool [T], a part of the object is inside.
        outlines: [T, 4], boxes around the object, nan where it is not seen; same px as `box`.
        at_border: the object's crossings of the frame's border.
        noise: frames; shorter spells do not count, and the object has to be seen outside within this time.
    """
    visible = ~np.isnan(outlines[:, 0])
    seen = seen.copy()
    seen[: span.start] = seen[span.end :] = False
    crossings = []
    for spell in seen_spells(seen, span, noise):
        before = np.arange(max(span.start, spell.start - noise), spell.start)[::-1]
        after = np.arange(spell.end, min(span.end, spell.end + noise))
        enter = _crossed("enter", spell.start, before[visible[before]], outlines, box, at_border, noise)
        leave = _crossed("exit", spell.end - 1, after[visible[after]], outlines, box, at_border, noise)
        crossings += [enter] if enter and spell.start > span.start else []
        crossings += [leave] if leave and spell.end < span.end else []
    return crossings


def _crossed(
    kind: Literal["enter", "exit"],
    frame: int,
    outside: np.ndarray,
    outlines: np.ndarray,
    box: np.ndarray,
    at_border: list[Crossing],
    noise: int,
) -> Crossing | None:
    """`outside`: frames beyond `frame` in which the object is seen, outside the box, nearest first."""
    if outside.size:
        return Crossing(kind, waiting_side(outlines[outside[0]], box), frame)
    same = [c for c in at_border if c.type == kind and abs(c.frame - frame) <= noise]
    return same[0] if same else None
