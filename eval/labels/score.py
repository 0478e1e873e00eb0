"""Labels of a finished run against the truth: cases of every measure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from PIL import Image

from curation.contract.manifest import RunFolder
from curation.contract.tables import records
from eval.labels.cases import Case
from eval.labels.labelled import LabelledClip
from eval.labels.match import ClipMatches, Match, TrueTube, match_clip
from eval.labels.metrics.events import match_events
from eval.labels.metrics.masks import contour_accuracy, region_similarity
from eval.labels.metrics.tracks import track_scores
from eval.labels.metrics.transitions import Boundary, match_transitions

Record = Mapping[str, Any]
_OVERLAP = 0.8  # share of a clip that must lie in one true shot for its camera label to be judged


class RunLabels:
    """The manifests of a run, by video."""

    def __init__(self, run: RunFolder) -> None:
        self.videos = {PurePosixPath(row["uri"]).name: row for row in records(run.read("videos"))}
        self.shots = _by(records(run.read("shots")), "video_id")
        self.clips = _by(records(run.read("clips")), "video_id")
        self.objects = _by(records(run.read("objects")), "clip_id")
        self.tracks = {row["object_id"]: row for row in records(run.read("tracks"))}
        self.events = _by([row for row in records(run.read("events")) if row["boundary"] == "frame"], "video_id")


@dataclass(frozen=True)
class ScoredData:
    """One data set with its run and all its cases."""

    folder: Path
    run: RunFolder
    labels: RunLabels
    clips: list[LabelledClip]
    cases: list[Case]
    seconds: float


def score_clip(labelled: LabelledClip, run: RunLabels) -> Iterator[Case]:
    """Every case of one labelled file. What is not labelled yields no case."""
    video = run.videos.get(labelled.name)
    if video is None or video["error"]:
        reason = video["error"] if video else "not in the videos manifest"
        yield Case("unreadable", labelled.name, outcome="missed", note=reason)
        return
    name = video["video_id"]
    yield from _transitions(labelled, run.shots[name])
    yield from _camera(labelled, run.clips[name], video)
    fps = video["fps_num"] / video["fps_den"]
    matches = [match_clip(labelled, clip, run.objects[clip["clip_id"]], run.tracks, fps) for clip in run.clips[name]]
    if labelled.objects is not None:
        for clip in matches:
            yield from _objects(labelled, clip)
        yield from _best_object(labelled, matches)
        yield from _not_in_any_clip(labelled, matches)
    yield from _events(labelled, matches, run.events[name])


def _transitions(labelled: LabelledClip, shots: list[Record]) -> Iterator[Case]:
    if labelled.transitions is None:
        return
    found = [Boundary(int(s["start_frame"]), s["transition"]) for s in shots if s["transition"] is not None]
    for boundary, truth in match_transitions(found, labelled.transitions):
        if truth is not None:
            measure = "hard" if truth.kind == "cut" else "gradual"
            note = f"{truth.kind} {truth.first} to {truth.last}"
            note += f", found as {boundary.kind} at {boundary.frame}" if boundary else " not found"
            yield Case(measure, labelled.name, outcome="right" if boundary else "missed", frame=truth.first, note=note)
        elif boundary is not None:
            measure = "hard" if boundary.kind == "cut" else "gradual"
            note = f"{boundary.kind} reported at {boundary.frame} where there is none"
            yield Case(measure, labelled.name, outcome="false", frame=boundary.frame, note=note)


def _camera(labelled: LabelledClip, clips: list[Record], video: Record) -> Iterator[Case]:
    for clip in clips:
        start, end = int(clip["start_frame"]), int(clip["end_frame"])
        for shot in labelled.shots or ():
            common = min(end, shot.end_frame) - max(start, shot.start_frame)
            if shot.camera is None or common < _OVERLAP * (end - start):
                continue
            said = clip["camera_label"]
            note = f"frames {start} to {end}: said {said}, is {shot.camera}"
            yield Case("camera_label", labelled.name, float(said == shot.camera), frame=start, note=note)
            if labelled.camera is not None:
                yield from _pose(labelled, clip, video)


def _pose(labelled: LabelledClip, clip: Record, video: Record) -> Iterator[Case]:
    """Mean absolute error per step of rotation (degrees), translation of the frame's centre (share of the diagonal)
    and zoom (ratio)."""
    assert labelled.camera is not None
    width, height = video["width"], video["height"]
    centre = np.array([(width - 1) / 2, (height - 1) / 2, 1.0])
    errors = []
    for step in clip["camera_steps"] or []:
        if step["rotation_deg"] is None or not np.isfinite(step["rotation_deg"]):
            continue
        move = labelled.camera[step["next_frame"]] @ np.linalg.inv(labelled.camera[step["frame"]])
        turn = abs(np.rad2deg(np.arctan2(move[1, 0], move[0, 0])))
        far = float(np.hypot(*(move @ centre - centre)[:2]) / np.hypot(width, height))
        zoom = float(np.sqrt(np.linalg.det(move[:2, :2])))
        said = abs(step["rotation_deg"]), abs(step["translation"]), step["zoom"]
        errors.append([abs(a - b) for a, b in zip(said, (turn, far, zoom), strict=True)])
    if errors:
        means = np.mean(errors, axis=0)
        for measure, value in zip(("pose_rotation", "pose_translation", "pose_zoom"), means.tolist(), strict=True):
            yield Case(measure, labelled.name, value, frame=int(clip["start_frame"]))


def _objects(labelled: LabelledClip, clip: ClipMatches) -> Iterator[Case]:
    start = int(clip.clip["start_frame"])
    still = labelled.objects_complete and not any(tube.item.moving for tube in clip.tubes)
    for match in clip.reported:
        about = {"clip": labelled.name, "object_id": match.row["object_id"]}
        if match.found:
            assert match.truth is not None
            yield Case("object", outcome="right", value=match.iou, truth=match.truth.item.name, **about)
            yield from _found(labelled, clip, match, match.truth)
        elif labelled.objects_complete and not _excused(match, clip):
            areas = match.masks.sum(axis=(1, 2))
            frame = start + int(areas.argmax())
            note = f"reported object is none: IoU {match.iou:.2f} with the most similar" if match.truth else ""
            note = note or f"reported where nothing moves, seen in {np.count_nonzero(areas)} frames"
            yield Case("object", outcome="false", frame=frame, note=note, **about)
            if still:
                yield Case("still", outcome="false", frame=frame, note="invented in a still scene", **about)
        yield from _boxes(labelled, clip, match)
    if still and not clip.reported:
        yield Case("still", labelled.name, outcome="right")
    for tube in clip.missed:
        best = max((m.iou for m in clip.reported if m.truth is tube), default=0.0)
        frame = start + int(tube.masks.sum(axis=(1, 2)).argmax())
        note = f"{tube.item.name} not found, best IoU {best:.2f}"
        yield Case("object", labelled.name, outcome="missed", frame=frame, truth=tube.item.name, note=note)


def _excused(match: Match, clip: ClipMatches) -> bool:
    """A report that is mostly on something that moves, but is too small or too short to be asked for."""
    if match.truth is not None and match.truth.item.moving and not match.truth.wanted:
        return True
    area = np.count_nonzero(match.masks)
    spared = [tube for tube in clip.tubes if tube.item.moving and not tube.wanted]
    return bool(area) and any(bool(np.count_nonzero(match.masks & tube.masks) > 0.5 * area) for tube in spared)


def _found(labelled: LabelledClip, clip: ClipMatches, match: Match, tube: TrueTube) -> Iterator[Case]:
    """Quality of an object that was found."""
    start = int(clip.clip["start_frame"])
    about: dict[str, Any] = {"clip": labelled.name, "object_id": match.row["object_id"], "truth": tube.item.name}
    frames = np.flatnonzero((match.masks | tube.masks).any(axis=(1, 2)))
    j = np.array([region_similarity(match.masks[f], tube.masks[f]) for f in frames])
    worst = start + int(frames[j.argmin()])
    yield Case("mask_j", value=float(j.mean()), frame=worst, note=f"J {j.min():.2f} at its worst", **about)
    # F on a third of the frames: dilating contours of whole frames is the costliest part of scoring.
    f = [contour_accuracy(match.masks[frame], tube.masks[frame]) for frame in frames[::3]]
    yield Case("mask_f", value=float(np.mean(f)), frame=worst, **about)
    query = int(match.row["query_frame"]) - start
    at_start = region_similarity(match.masks[query], tube.masks[query])
    yield Case("mask_j_start", value=at_start, frame=start + query, **about)
    yield from _tracks(match, tube, about)
    yield from _identity(match, tube, start, about)


def _tracks(match: Match, tube: TrueTube, about: dict[str, Any]) -> Iterator[Case]:
    if tube.item.surface is None or match.track["points"] is None or not len(match.row["query_points"] or []):
        return
    first, end = int(match.track["start_frame"]), int(match.track["end_frame"])
    points = np.asarray(match.track["points"], np.float64)
    visibility = np.asarray(match.track["visibility"], bool)
    if points.size == 0:
        return
    queries = match.row["query_points"]
    frames = np.array([int(query["frame"]) for query in queries])
    places = np.array([(query["x"], query["y"]) for query in queries], np.float64)
    carried, seen = tube.item.surface.track(frames, places)
    # A query point beside the object (a fault of the mask) has no true track on it: it is never truly visible.
    true_points, true_visibility = carried[first:end], seen[first:end] & seen[frames, np.arange(len(frames))]
    height, width = tube.masks.shape[1:]
    scores = track_scores(points, visibility, true_points, true_visibility, frames - first, (height, width))
    for measure, value in (
        ("track_oa", scores.occlusion_accuracy),
        ("track_delta", scores.delta_avg),
        ("track_aj", scores.average_jaccard),
    ):
        if np.isfinite(value):
            yield Case(measure, value=value, frame=int(frames[0]), **about)


def _identity(match: Match, tube: TrueTube, start: int, about: dict[str, Any]) -> Iterator[Case]:
    reference, box = match.row["identity_reference"], match.row["identity_box"]
    if reference is None:
        return
    frame = int(match.row["identity_frame"])
    with Image.open(BytesIO(reference["bytes"])) as picture:
        alpha = np.asarray(picture.convert("RGBA"))[..., 3]
    x0, y0, x1, y1 = (int(side) for side in box)
    opaque = cv2.resize(alpha, (max(1, x1 - x0), max(1, y1 - y0)), interpolation=cv2.INTER_AREA) > 127
    truth = tube.masks[frame - start][y0:y1, x0:x1]
    opaque = opaque[: truth.shape[0], : truth.shape[1]]
    if opaque.any():
        purity = np.count_nonzero(opaque & truth) / np.count_nonzero(opaque)
        yield Case("identity", value=purity, frame=frame, box=[x0, y0, x1, y1], **about)


def _boxes(labelled: LabelledClip, clip: ClipMatches, match: Match) -> Iterator[Case]:
    """Region boxes against the true mask of the object, or of what the report overlaps most when it is none."""
    tube = match.truth or max(clip.tubes, key=lambda tube: np.count_nonzero(tube.masks & match.masks), default=None)
    if tube is None or not (tube.masks & match.masks).any():
        return
    start = int(clip.clip["start_frame"])
    for entry in match.row["starts"] or []:
        frame = int(entry["start_frame"])
        for box in entry["region_boxes"] or []:
            x0, y0, x1, y1 = (int(side) for side in box)
            inside = np.count_nonzero(tube.masks[frame - start, y0:y1, x0:x1])
            note = f"box holds {inside} px of {tube.item.name}" if inside else ""
            yield Case(
                "box",
                labelled.name,
                float(inside > 0),
                frame=frame,
                object_id=match.row["object_id"],
                truth=tube.item.name,
                note=note,
                box=[x0, y0, x1, y1],
            )


def _best_object(labelled: LabelledClip, matches: list[ClipMatches]) -> Iterator[Case]:
    """Where only one object of the file is labelled (DAVIS): J of the reported object that fits it best, 0 without."""
    if labelled.objects_complete:
        return
    for item in labelled.objects or ():
        best = (0.0, None)
        for clip in matches:
            tubes = [tube for tube in clip.tubes if tube.item is item]
            for match in clip.reported if tubes else []:
                frames = zip(match.masks, tubes[0].masks, strict=True)
                j = float(np.mean([region_similarity(mask, truth) for mask, truth in frames]))
                best = max(best, (j, match.row["object_id"]), key=lambda pair: pair[0])
        reported = sum(len(clip.reported) for clip in matches)
        about = {"object_id": best[1], "truth": item.name, "frame": item.start_frame}
        yield Case("davis_j", labelled.name, best[0], note=f"best of {reported} reported objects", **about)


def _not_in_any_clip(labelled: LabelledClip, matches: list[ClipMatches]) -> Iterator[Case]:
    seen = {tube.item.name for clip in matches for tube in clip.tubes}
    for item in labelled.objects or ():
        if item.moving and item.name not in seen:
            note = f"{item.name} lies in no clip"
            yield Case("object", labelled.name, outcome="missed", frame=item.start_frame, truth=item.name, note=note)


def _events(labelled: LabelledClip, matches: list[ClipMatches], reported: list[Record]) -> Iterator[Case]:
    if labelled.events is None:
        return
    names = {m.row["object_id"]: m.truth.item.name for clip in matches for m in clip.reported if m.truth is not None}
    known = {item.name for item in labelled.objects or ()}
    spared = {tube.item.name for clip in matches for tube in clip.tubes if not tube.wanted}
    for found, truth in match_events(reported, labelled.events, names, known):
        if truth is not None:
            if truth.object in spared:
                continue
            note = f"{truth.object}: {truth.type} {truth.side} at {truth.frame}"
            note += f", found at {found['frame']}" if found else " not found"
            yield Case(
                "event",
                labelled.name,
                outcome="right" if found else "missed",
                frame=truth.frame,
                truth=truth.object,
                object_id=found["object_id"] if found else None,
                note=note,
            )
        elif found is not None and labelled.events_complete and names.get(found["object_id"]) not in spared:
            note = f"{found['type']} {found['side']} reported at {found['frame']} of {found['object_id']}"
            about = {"frame": int(found["frame"]), "object_id": found["object_id"]}
            yield Case("event", labelled.name, outcome="false", note=note, **about)


def _by(rows: list[Any], key: str) -> defaultdict[str, list[Any]]:
    groups: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        groups[row[key]].append(row)
    return groups
