"""From manifest rows to what is drawn: a sample with everything that happens in it, or an object that was dropped."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import polars as pl

from curation.contract.manifest import RunFolder, scan_manifest
from curation.contract.rle import Rle, decode_mask
from curation.contract.schemas import SCHEMAS
from curation.contract.tables import records
from curation.report.drawing import DrawnEvent, DrawnObject, Overlay, object_colour

Record = Mapping[str, Any]


@dataclass(frozen=True)
class SampleView:
    """A sample, ready to be shown.

    Attributes:
        sample, video: records of the manifests.
        overlay: over the sample's span.
        event_frame: source frame of the event that the sample is about; None when it has none.
    """

    sample: Record
    video: Record
    overlay: Overlay
    event_frame: int | None


def matching_records(run: RunFolder, manifest: str, column: str, values: Iterable[str]) -> list[dict[str, Any]]:
    """Records of a manifest whose `column` is one of `values`; other rows are not read into memory."""
    found = scan_manifest(run.uri, manifest).filter(pl.col(column).is_in(sorted(set(values)))).collect()
    return records(found.to_arrow().select(SCHEMAS[manifest].names).cast(SCHEMAS[manifest]))


def sample_views(run: RunFolder, sample_ids: Sequence[str]) -> list[SampleView]:
    """Views of these samples, in this order."""
    samples = {row["sample_id"]: row for row in matching_records(run, "samples", "sample_id", sample_ids)}
    objects = {item["object_id"] for row in samples.values() for item in row["objects"]}
    videos = {row["video_id"]: row for row in _of(run, "videos", "video_id", samples.values())}
    tracks = {row["object_id"]: row for row in matching_records(run, "tracks", "object_id", objects)}
    events = matching_records(run, "events", "object_id", objects)
    return [
        _sample_view(samples[name], videos[samples[name]["video_id"]], tracks, events)
        for name in sample_ids
        if name in samples
    ]


def object_overlay(item: Record, track: Record | None, video: Record) -> Overlay:
    """A single object in its query frame: its mask there, and its track as far as there is one."""
    start = track["start_frame"] if track else item["query_frame"]
    end = track["end_frame"] if track else start + 1
    points, visibility = _track_arrays(track["points"], track["visibility"]) if track else _query_arrays(item)
    masks: list[Rle | None] = [None] * (end - start)
    if 0 <= item["query_frame"] - start < len(masks):
        masks[item["query_frame"] - start] = item["mask"]
    drawn = DrawnObject(item["label"] or "object", object_colour(0), points, visibility, masks)
    return _overlay(video, start, end, [drawn])


def frame_seconds(video: Record, start: int, end: int) -> list[float]:
    """Presentation times of source frames [start, end) from the first of them, s."""
    if video["frame_pts"] is None:
        return [i * video["fps_den"] / video["fps_num"] for i in range(end - start)]
    times = np.asarray(video["frame_pts"][start:end], np.float64) * video["time_base_num"] / video["time_base_den"]
    return (times - times[0]).tolist() if times.size else []


def reference_picture(image: Record | None, height: int) -> np.ndarray | None:
    """An identity reference, uint8 [height, w, 3] RGB on a light chequered ground; None when there is none."""
    if image is None or not image["bytes"]:
        return None
    pixels = cv2.imdecode(np.frombuffer(image["bytes"], np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3 or pixels.shape[2] != 4:
        return None
    scale = min(height / pixels.shape[0], 2.0 * height / pixels.shape[1])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    alpha = pixels[..., 3:].astype(np.float32) / 255
    # Colour and coverage are scaled together, or colours hidden under transparency would bleed into the edge.
    premultiplied = np.dstack([pixels[..., 2::-1] * alpha, alpha])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(premultiplied, size, interpolation=how)
    ground = _chequered(height, size[0])
    top = (height - size[1]) // 2
    part = ground[top : top + size[1]]
    part[:] = part * (1 - scaled[..., 3:]) + scaled[..., :3]
    return np.clip(np.rint(ground), 0, 255).astype(np.uint8)


def _chequered(height: int, width: int) -> np.ndarray:
    """float32 [height, width, 3] of two light greys."""
    square = max(4, height // 12)
    ys, xs = np.mgrid[:height, :width] // square
    return np.where(((ys + xs) % 2)[..., None], 236.0, 206.0).repeat(3, axis=2).astype(np.float32)


def _of(run: RunFolder, manifest: str, column: str, rows: Iterable[Record]) -> list[dict[str, Any]]:
    return matching_records(run, manifest, column, (row[column] for row in rows))


def _sample_view(
    sample: Record, video: Record, tracks: Mapping[str, Record], all_events: Sequence[Record]
) -> SampleView:
    start, end = sample["start_frame"], sample["end_frame"]
    names = _names([item["label"] for item in sample["objects"]])
    drawn: dict[str, DrawnObject] = {}
    for index, (item, name) in enumerate(zip(sample["objects"], names, strict=True)):
        points, visibility = _track_arrays(item["points"], item["visibility"])
        masks = _masks_over(tracks.get(item["object_id"]), start, end)
        drawn[item["object_id"]] = DrawnObject(
            name, object_colour(index), points, visibility, masks, bool(item["is_identity"])
        )
    events = [event for event in all_events if event["object_id"] in drawn and start <= event["frame"] < end]
    region_box, event_frame = _typical_box(sample, events, drawn)
    shown = [
        _drawn_event(event, drawn[event["object_id"]], start, video)
        for event in events
        if event["boundary"] == "frame" or _same_box(event["region_box"], region_box)
    ]
    overlay = _overlay(video, start, end, list(drawn.values()), shown, region_box)
    if event_frame is None:
        event_frame = min((event.frame for event in shown), default=None)
    return SampleView(sample, video, overlay, event_frame)


def _overlay(
    video: Record,
    start: int,
    end: int,
    objects: Sequence[DrawnObject],
    events: Sequence[DrawnEvent] = (),
    region_box: Sequence[int] | None = None,
) -> Overlay:
    return Overlay(
        start_frame=start,
        fps=video["fps_num"] / video["fps_den"],
        seconds=frame_seconds(video, start, end),
        width=video["width"],
        height=video["height"],
        objects=objects,
        events=events,
        region_box=region_box,
    )


def _names(labels: Sequence[str | None]) -> list[str]:
    """Labels, numbered where several objects share one."""
    plain = [label or "object" for label in labels]
    total, seen = Counter(plain), Counter[str]()
    names = []
    for label in plain:
        seen[label] += 1
        names.append(f"{label} {seen[label]}" if total[label] > 1 else label)
    return names


def _track_arrays(points: Any, visibility: Any) -> tuple[np.ndarray, np.ndarray]:
    """float32 [T, P, 2] and bool [T, P] from a record's nested lists, P = 0 included."""
    times = len(points)
    return np.asarray(points, np.float32).reshape(times, -1, 2), np.asarray(visibility, bool).reshape(times, -1)


def _query_arrays(item: Record) -> tuple[np.ndarray, np.ndarray]:
    """An untracked object's query points of its query frame, as a track of one frame."""
    here = [(q["x"], q["y"]) for q in item["query_points"] or [] if q["frame"] == item["query_frame"]]
    return np.array(here, np.float32).reshape(1, -1, 2), np.ones((1, len(here)), bool)


def _masks_over(track: Record | None, start: int, end: int) -> list[Rle | None]:
    """A track's masks over source frames [start, end); empty when it has none."""
    if track is None or track["masks"] is None:
        return []
    first, masks = track["start_frame"], track["masks"]
    return [masks[frame - first] if 0 <= frame - first < len(masks) else None for frame in range(start, end)]


def _typical_box(
    sample: Record, events: Sequence[Record], drawn: Mapping[str, DrawnObject]
) -> tuple[list[int] | None, int | None]:
    """The first region box in which what the sample is about really happens, and when; else its first box."""
    boxes = [
        [int(side) for side in box] for box in (sample["region_boxes"] if sample["region_boxes"] is not None else [])
    ]
    wanted = {"frame_in": ("enter",), "frame_out": ("exit",)}.get(sample["kinds"], ("enter", "exit"))
    with_identity = any(item.is_identity for item in drawn.values())
    for kind in wanted:
        for box in boxes:
            frames = [
                event["frame"]
                for event in events
                if event["type"] == kind
                and _same_box(event["region_box"], box)
                and (kind == "exit" or not with_identity or drawn[event["object_id"]].is_identity)
            ]
            if frames:
                return box, min(frames)
    return (boxes[0] if boxes else None), None


def _same_box(box: Any, other: Sequence[int] | None) -> bool:
    return box is not None and other is not None and [int(side) for side in box] == list(other)


def _drawn_event(event: Record, item: DrawnObject, start: int, video: Record) -> DrawnEvent:
    box = event["region_box"]
    whole = [0, 0, video["width"], video["height"]]
    step = event["frame"] - start
    return DrawnEvent(
        who=item.name,
        type=event["type"],
        side=event["side"],
        frame=event["frame"],
        colour=item.colour,
        at=_place(item, step, whole),
        box=whole if box is None else [int(side) for side in box],
    )


def _place(item: DrawnObject, step: int, whole: Sequence[int]) -> tuple[float, float]:
    """Where an object is (x, y): its mask's centre, else that of its visible points, else of all points."""
    rle = item.masks[step] if step < len(item.masks) else None
    if rle is not None:
        ys, xs = np.nonzero(decode_mask(rle))
        if xs.size:
            return float(xs.mean()), float(ys.mean())
    points, seen = item.points[step], item.visibility[step]
    points = points[seen] if seen.any() else points
    if not len(points):
        return whole[2] / 2, whole[3] / 2
    return float(points[:, 0].mean()), float(points[:, 1].mean())
