"""Cases of objects: found or not, and how good masks, tracks, region boxes and ID references of the found ones are."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from PIL import Image

from eval.labels.cases import Case
from eval.labels.labelled import LabelledClip, LabelledObject
from eval.labels.match import ClipMatches, Match, TrueTube, is_asked_for
from eval.labels.metrics.masks import contour_accuracy, region_similarity
from eval.labels.metrics.tracks import track_scores


def object_cases(labelled: LabelledClip, matches: list[ClipMatches], fps: float) -> Iterator[Case]:
    """Every case about the objects of a file."""
    for clip in matches:
        yield from _objects(labelled, clip)
    if not labelled.objects_complete:
        for item in labelled.objects or ():
            yield _best_report(labelled, item, matches)
    wanted = {tube.item.name for clip in matches for tube in clip.tubes if tube.wanted}
    for item in labelled.objects or ():
        if item.name not in wanted and is_asked_for(item, fps):
            note = f"{item.name} lies in no clip for long enough"
            yield Case("object", labelled.name, outcome="missed", frame=item.start_frame, truth=item.name, note=note)


def _objects(labelled: LabelledClip, clip: ClipMatches) -> Iterator[Case]:
    start = int(clip.clip["start_frame"])
    still = labelled.objects_complete and not any(tube.item.moving for tube in clip.tubes)
    for match, shared in zip(clip.reported, clip.common.sum(axis=2), strict=True):
        about: dict[str, Any] = {"clip": labelled.name, "object_id": match.row["object_id"]}
        if match.found:
            assert match.truth is not None
            about |= {"truth": match.truth.item.name, "exhaustive": labelled.objects_complete}
            yield Case("object", outcome="right", value=match.iou, **about)
            yield from _found(labelled, clip, match, match.truth)
        elif labelled.objects_complete and not match.spared:
            frame = start + int(match.tube.areas.argmax())
            truth = f"IoU {match.iou:.2f} with {match.truth.item.name}" if match.truth else "no object's"
            note = f"reported in {np.count_nonzero(match.tube.areas)} frames, {truth}"
            yield Case("object", outcome="false", frame=frame, note=note, **about)
            if still:
                yield Case("still", outcome="false", frame=frame, note="invented in a still scene", **about)
        yield from _boxes(labelled, clip, match, shared)
    if still and not clip.reported:
        yield Case("still", labelled.name, outcome="right")
    for tube in clip.missed:
        best = max((m.iou for m in clip.reported if m.truth is tube), default=0.0)
        frame = start + int(tube.tube.areas.argmax())
        note = f"{tube.item.name} not found, best IoU {best:.2f}"
        yield Case("object", labelled.name, outcome="missed", frame=frame, truth=tube.item.name, note=note)


def _found(labelled: LabelledClip, clip: ClipMatches, match: Match, tube: TrueTube) -> Iterator[Case]:
    """Quality of an object that was found."""
    start = int(clip.clip["start_frame"])
    about: dict[str, Any] = {"clip": labelled.name, "object_id": match.row["object_id"], "truth": tube.item.name}
    j = region_similarity(match.common, match.tube.areas, tube.tube.areas)
    worst = int(np.nanargmin(j))
    note = f"J {j[worst]:.2f} at its worst"
    yield Case("mask_j", value=float(np.nanmean(j)), frame=start + worst, note=note, **about)
    # F on a third of the frames: contours are the costliest part of scoring.
    frames = np.flatnonzero(np.isfinite(j))[::3].tolist()
    f = [contour_accuracy(match.tube.pixels(frame), tube.tube.pixels(frame)) for frame in frames]
    yield Case("mask_f", value=float(np.mean(f)), frame=start + frames[int(np.argmin(f))], **about)
    query = int(match.row["query_frame"]) - start
    yield Case("mask_j_start", value=float(np.nan_to_num(j[query])), frame=start + query, **about)
    yield from _tracks(match, tube, about)
    yield from _identity(labelled, match, tube, start, about)


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
    scores = track_scores(points, visibility, true_points, true_visibility, frames - first, tube.tube.size)
    for measure, value in (
        ("track_oa", scores.occlusion_accuracy),
        ("track_delta", scores.delta_avg),
        ("track_aj", scores.average_jaccard),
    ):
        if np.isfinite(value):
            yield Case(measure, value=value, frame=int(frames[0]), **about)


def _identity(
    labelled: LabelledClip, match: Match, tube: TrueTube, start: int, about: dict[str, Any]
) -> Iterator[Case]:
    reference, box = match.row["identity_reference"], match.row["identity_box"]
    if reference is None:
        return
    frame = int(match.row["identity_frame"])
    if _is_mixed(labelled, frame):
        return
    with Image.open(BytesIO(reference["bytes"])) as picture:
        alpha = np.asarray(picture.convert("RGBA"))[..., 3]
    x0, y0, x1, y1 = (int(side) for side in box)
    opaque = cv2.resize(alpha, (max(1, x1 - x0), max(1, y1 - y0)), interpolation=cv2.INTER_AREA) > 127
    truth = tube.tube.pixels(frame - start)[y0:y1, x0:x1]
    opaque = opaque[: truth.shape[0], : truth.shape[1]]
    if opaque.any():
        purity = np.count_nonzero(opaque & truth) / np.count_nonzero(opaque)
        yield Case("identity", value=purity, frame=frame, box=[x0, y0, x1, y1], **about)


def _is_mixed(labelled: LabelledClip, frame: int) -> bool:
    """Whether two shots are mixed in a frame: true masks end where the mixing begins, though the object is seen."""
    return any(item.kind != "cut" and item.first <= frame <= item.last for item in labelled.transitions or ())


def _boxes(labelled: LabelledClip, clip: ClipMatches, match: Match, shared: np.ndarray) -> Iterator[Case]:
    """Region boxes against the true mask of the object, or of what the report overlaps most when it is none.

    Args:
        shared: int64 [tubes], px of the report on every true object of the clip.
    """
    tube = match.truth or (clip.tubes[int(shared.argmax())] if shared.any() else None)
    if tube is None:
        return
    start = int(clip.clip["start_frame"])
    for entry in match.row["starts"] or []:
        frame = int(entry["start_frame"])
        truth = tube.tube.pixels(frame - start)
        for box in entry["region_boxes"] or []:
            x0, y0, x1, y1 = (int(side) for side in box)
            inside = np.count_nonzero(truth[y0:y1, x0:x1])
            yield Case(
                "box",
                labelled.name,
                float(inside > 0),
                frame=frame,
                object_id=match.row["object_id"],
                truth=tube.item.name,
                note=f"box holds {inside} px of {tube.item.name}" if inside else "",
                box=[x0, y0, x1, y1],
            )


def _best_report(labelled: LabelledClip, item: LabelledObject, matches: list[ClipMatches]) -> Case:
    """Where only some objects of the file are labelled (DAVIS): J of the reports that fit one best.

    The mean over all frames of the file in which the object is labelled or reported: the best report of every clip is
    taken, and frames that no clip holds, or whose clip reports nothing, count 0.
    """
    frames = max([item.end_frame, *(int(clip.clip["end_frame"]) for clip in matches)])
    curve = np.full(frames, np.nan)
    curve[[item.start_frame + offset for offset, mask in enumerate(item.masks or ()) if mask is not None]] = 0.0
    chosen = []
    for clip in matches:
        index = next((index for index, tube in enumerate(clip.tubes) if tube.item is item), None)
        if index is None or not clip.common[:, index].any():
            continue
        true_areas = clip.tubes[index].tube.areas
        curves = [
            region_similarity(clip.common[row, index], match.tube.areas, true_areas)
            for row, match in enumerate(clip.reported)
        ]
        best = int(np.argmax([np.nanmean(part) for part in curves]))
        curve[int(clip.clip["start_frame"]) : int(clip.clip["end_frame"])] = curves[best]
        chosen.append(clip.reported[best].row["object_id"])
    reported = sum(len(clip.reported) for clip in matches)
    return Case(
        "davis_j",
        labelled.name,
        float(np.nanmean(curve)),
        frame=int(np.nanargmin(curve)),
        truth=item.name,
        object_id=chosen[0] if len(chosen) == 1 else None,
        note=f"{len(chosen)} of {reported} reported objects, in {len(matches)} clips; J {np.nanmin(curve):.2f} here",
    )
