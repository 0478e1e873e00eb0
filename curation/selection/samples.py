"""Samples: clips cut to a start frame, with the object that comes in or the objects that go out.

Works on the rows of some videos at a time, from the manifests alone. Two sorts of samples: Frame In brings an identity
object into a region box that excludes it in the start frame; Frame Out has a region box that an object leaves.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from curation.contract import ids
from curation.contract.config import Config
from curation.contract.spans import Span
from curation.contract.tables import records, table
from curation.selection.split import SplitConfig, split_of

Record = Mapping[str, Any]


class SamplesConfig(Config):
    min_seconds: float = Field(
        default=49 / 12, description="least length of a sample; 49 training frames at 12 per second"
    )
    max_seconds: float | None = Field(default=None, description="a sample ends this long after its start frame")
    most_boxes: int = Field(default=15, ge=1, description="region boxes of a Frame Out sample; the recipe's number")


@dataclass(frozen=True)
class _Labelled:
    """A kept object with all that is known of it."""

    row: Record
    track: Record
    events: Sequence[Record]
    starts: Mapping[int, Record]

    @property
    def object_id(self) -> str:
        return self.row["object_id"]

    def has_boxes(self, start_frame: int) -> bool:
        start = self.starts.get(start_frame)
        return start is not None and bool(start["region_boxes"] or start["leave_boxes"])

    def visible(self, span: Span) -> bool:
        first = self.track["start_frame"]
        return bool(self.track["visibility"][span.start - first : span.end - first].any())

    def crosses(self, boundary: str, kind: str, span: Span, boxes: Sequence[Sequence[int]] | None = None) -> bool:
        """Whether it enters (exits) the frame, or one of the region boxes, after the span's first frame and in it."""
        return any(
            event["boundary"] == boundary
            and event["type"] == kind
            and span.start <= event["frame"] - (kind == "enter")
            and event["frame"] + (kind == "exit") < span.end
            and (boxes is None or list(event["region_box"]) in boxes)
            for event in self.events
        )

    def leaves(self, span: Span, box: Sequence[int], canvas: Sequence[int]) -> bool:
        """Whether it is seen to go wholly out of the box, or of the frame and with it the box."""
        return self.crosses("frame", "exit", span) or (
            list(box) != list(canvas) and self.crosses("region", "exit", span, [list(box)])
        )

    def within(self, frame: int, boxes: Sequence[Sequence[int]]) -> bool:
        """Whether all its points that are visible in the frame lie in one of the boxes; False if none is visible."""
        index = frame - self.track["start_frame"]
        points = self.track["points"][index][self.track["visibility"][index]]
        return len(points) > 0 and any(
            bool(np.all((points >= box[:2]) & (points < box[2:]))) for box in np.asarray(boxes).reshape(-1, 4)
        )

    def tracks_over(self, span: Span, is_identity: bool) -> dict[str, Any]:
        rows = slice(span.start - self.track["start_frame"], span.end - self.track["start_frame"])
        return {
            "object_id": self.object_id,
            "label": self.row["label"],
            "points": self.track["points"][rows],
            "visibility": self.track["visibility"][rows],
            "is_identity": is_identity,
        }


def build_samples(
    videos: pa.Table,
    clips: pa.Table,
    objects: pa.Table,
    tracks: pa.Table,
    events: pa.Table,
    config: SamplesConfig,
    split: SplitConfig,
    seed: int,
) -> tuple[pa.Table, list[dict[str, Any]]]:
    """Samples of the kept clips and objects of some videos; all rows of a video have to be there.

    Returns:
        The samples manifest's rows, ordered by sample_id, and verdicts (records of the verdicts manifest) on the
        candidates that became none: samples, and objects that are part of no sample at all.
    """
    video_rows = {row["video_id"]: row for row in records(videos.drop_columns(["frame_pts", "key_frames"]))}
    labelled, verdicts = _labelled_objects(objects, tracks, events)

    samples: list[dict[str, Any]] = []
    for clip in records(clips):
        video = video_rows[clip["video_id"]]
        of_clip = labelled[clip["clip_id"]]
        longest: dict[str, float] = {}
        for start_frame in clip["start_frames"] if clip["start_frames"] is not None else []:
            span = _span(int(start_frame), clip, video, config)
            candidates = _frame_in(clip, video, span, of_clip) + _frame_out(clip, video, span, of_clip, config)
            seconds = span.length * video["fps_den"] / video["fps_num"]
            if seconds >= config.min_seconds:
                samples += candidates
                continue
            verdicts += [_too_short(sample["sample_id"], "sample", seconds, config) for sample in candidates]
            for item in of_clip:
                if item.has_boxes(span.start):
                    longest[item.object_id] = max(seconds, longest.get(item.object_id, 0.0))
        used = {item["object_id"] for sample in samples for item in sample["objects"]}
        for item in of_clip:
            if item.object_id not in used:
                verdicts.append(_unused(item, longest.get(item.object_id), config))
    for sample in samples:
        sample["split"] = split_of(sample["video_id"], split, seed)
    return table("samples", sorted(samples, key=lambda sample: sample["sample_id"])), verdicts


def _labelled_objects(
    objects: pa.Table, tracks: pa.Table, events: pa.Table
) -> tuple[defaultdict[str, list[_Labelled]], list[dict[str, Any]]]:
    """The objects that have a track, by clip, and verdicts on the others."""
    track_rows = {row["object_id"]: row for row in records(tracks.drop_columns(["masks"]))}
    event_rows = defaultdict(list)
    for event in records(events):
        event_rows[event["object_id"]].append(event)

    labelled: defaultdict[str, list[_Labelled]] = defaultdict(list)
    verdicts = []
    for row in sorted(records(objects.drop_columns(["mask", "query_points"])), key=lambda row: row["object_id"]):
        name = row["object_id"]
        starts = {start["start_frame"]: start for start in row["starts"] or []}
        if name in track_rows and len(track_rows[name]["cycle_error_px"]):
            labelled[row["clip_id"]].append(_Labelled(row, track_rows[name], event_rows[name], starts))
        else:
            verdicts.append(_verdict(name, "object", "no_track", "none of its points could be tracked"))
    return labelled, verdicts


def _span(start_frame: int, clip: Record, video: Record, config: SamplesConfig) -> Span:
    end = int(clip["end_frame"])
    if config.max_seconds is not None:
        end = min(end, start_frame + round(config.max_seconds * video["fps_num"] / video["fps_den"]))
    return Span(start_frame, end)


def _frame_in(clip: Record, video: Record, span: Span, objects: Sequence[_Labelled]) -> list[dict[str, Any]]:
    """One sample for each object that has region boxes and a reference in the start frame."""
    samples = []
    for identity in objects:
        boxes = [list(box) for box in identity.starts.get(span.start, {}).get("region_boxes") or []]
        if not boxes or identity.row["identity_reference"] is None:
            continue
        leaves_too = any(
            other is not identity and other.crosses("frame", "exit", span) and other.within(span.start, boxes)
            for other in objects
        )
        # The object's own part of its id, not its place among the kept ones: other thresholds keep the name.
        suffix = f"in-{identity.object_id.removeprefix(clip['clip_id'] + '_')}"
        samples.append(
            _sample(clip, video, span, suffix)
            | {
                "objects": _tracks(objects, span, identity),
                "region_boxes": boxes,
                "identity_reference": identity.row["identity_reference"],
                "more_references": identity.row["more_references"] or [],
                "kinds": "both" if leaves_too else "frame_in",
                "strict": identity.crosses("frame", "enter", span) or identity.crosses("region", "enter", span, boxes),
            }
        )
    return samples


def _frame_out(
    clip: Record, video: Record, span: Span, objects: Sequence[_Labelled], config: SamplesConfig
) -> list[dict[str, Any]]:
    """At most one sample, with boxes of all objects that leave one; those that they are seen to leave come first."""
    canvas = [0, 0, video["width"], video["height"]]
    queues = []
    for item in objects:
        boxes = [list(box) for box in item.starts.get(span.start, {}).get("leave_boxes") or []]
        queues.append(sorted(((not item.leaves(span, box, canvas), box) for box in boxes), key=lambda entry: entry[0]))
    turns = [queue[turn] for turn in range(max(map(len, queues), default=0)) for queue in queues if turn < len(queue)]
    chosen: list[list[int]] = []
    for _, box in sorted(turns, key=lambda entry: entry[0]):
        if box not in chosen and len(chosen) < config.most_boxes:
            chosen.append(box)
    if not chosen:
        return []
    return [
        _sample(clip, video, span, "out")
        | {
            "objects": _tracks(objects, span, None),
            "region_boxes": chosen,
            "identity_reference": None,
            "more_references": [],
            "kinds": "frame_out",
            "strict": any(not unseen for unseen, _ in turns),
        }
    ]


def _tracks(objects: Sequence[_Labelled], span: Span, identity: _Labelled | None) -> list[dict[str, Any]]:
    return [item.tracks_over(span, item is identity) for item in objects if item is identity or item.visible(span)]


def _sample(clip: Record, video: Record, span: Span, suffix: str) -> dict[str, Any]:
    return {
        "sample_id": ids.sample_id(clip["clip_id"], span.start, suffix),
        "clip_id": clip["clip_id"],
        "video_id": clip["video_id"],
        "uri": video["uri"],
        "start_frame": span.start,
        "end_frame": span.end,
        "fps": video["fps_num"] / video["fps_den"],
        "width": video["width"],
        "height": video["height"],
        "caption": clip["caption"],
    }


def _too_short(item_id: str, level: str, seconds: float, config: SamplesConfig) -> dict[str, Any]:
    reason = f"{seconds:.2f} s from its start frame to the end of the clip, at least {config.min_seconds:.2f} s needed"
    return _verdict(item_id, level, "sample_length", reason) | {"value": seconds, "threshold": config.min_seconds}


def _unused(item: _Labelled, seconds: float | None, config: SamplesConfig) -> dict[str, Any]:
    """Why an object with tracks is part of no sample. `seconds`: of the longest that was too short; None: none was."""
    leaves = any(start["leave_boxes"] for start in item.starts.values())
    excluded = any(start["region_boxes"] for start in item.starts.values())
    if excluded and not leaves and item.row["identity_reference"] is None:
        return _verdict(item.object_id, "object", "no_identity_reference", "no picture of it could be cut out")
    if seconds is not None:
        return _too_short(item.object_id, "object", seconds, config)
    reason = "no region box fits beside it at any start frame, and it leaves none"
    return _verdict(item.object_id, "object", "no_region_box", reason)


def _verdict(item_id: str, level: str, rule: str, reason: str) -> dict[str, Any]:
    return {
        "item_id": item_id,
        "level": level,
        "stage": "samples",
        "rule": rule,
        "kept": False,
        "value": None,
        "threshold": None,
        "reason": reason,
    }
