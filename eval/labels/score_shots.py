"""Cases of shots: transitions, the label of the camera, and its motion."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from eval.labels.cases import Case
from eval.labels.labelled import LabelledClip
from eval.labels.metrics.transitions import Boundary, match_transitions

Record = Mapping[str, Any]
_OVERLAP = 0.8  # share of a clip that must lie in one true shot for its camera label to be judged


def transition_cases(labelled: LabelledClip, shots: list[Record]) -> Iterator[Case]:
    """Cases `hard` and `gradual`; for a file whose camera is static throughout `static_cut`, false for every boundary
    where there is none."""
    if labelled.transitions is None:
        return
    static = bool(labelled.shots) and all(shot.camera == "static" for shot in labelled.shots or ())
    found = [Boundary(int(s["start_frame"]), s["transition"]) for s in shots if s["transition"] is not None]
    pairs = match_transitions(found, labelled.transitions)
    for boundary, truth in pairs:
        if truth is not None:
            measure = "hard" if truth.kind == "cut" else "gradual"
            note = f"{truth.kind} {truth.first} to {truth.last}"
            note += f", found as {boundary.kind} at {boundary.frame}" if boundary else " not found"
            yield Case(measure, labelled.name, outcome="right" if boundary else "missed", frame=truth.first, note=note)
        elif boundary is not None:
            measure = "hard" if boundary.kind == "cut" else "gradual"
            note = f"{boundary.kind} reported at {boundary.frame} where there is none"
            for name in (measure, "static_cut") if static else (measure,):
                yield Case(name, labelled.name, outcome="false", frame=boundary.frame, note=note)
    if static and all(truth is not None for _, truth in pairs):
        yield Case("static_cut", labelled.name, outcome="right")


def camera_cases(labelled: LabelledClip, clips: list[Record], video: Record) -> Iterator[Case]:
    """Case `camera_label` for every clip that lies in one true shot, and the errors of its motion where it is known."""
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
                yield from _pose(labelled.camera, labelled.name, clip, video)


def _pose(camera: np.ndarray, name: str, clip: Record, video: Record) -> Iterator[Case]:
    """Mean absolute error per step of rotation (degrees), translation of the frame's centre (share of the diagonal)
    and zoom (ratio)."""
    width, height = video["width"], video["height"]
    centre = np.array([(width - 1) / 2, (height - 1) / 2, 1.0])
    errors = []
    for step in clip["camera_steps"] or []:
        if step["rotation_deg"] is None or not np.isfinite(step["rotation_deg"]):
            continue
        move = camera[step["next_frame"]] @ np.linalg.inv(camera[step["frame"]])
        turn = abs(np.rad2deg(np.arctan2(move[1, 0], move[0, 0])))
        far = float(np.hypot(*(move @ centre - centre)[:2]) / np.hypot(width, height))
        zoom = float(np.sqrt(np.linalg.det(move[:2, :2])))
        said = abs(step["rotation_deg"]), abs(step["translation"]), step["zoom"]
        errors.append([abs(a - b) for a, b in zip(said, (turn, far, zoom), strict=True)])
    if errors:
        means = np.mean(errors, axis=0)
        for measure, value in zip(("pose_rotation", "pose_translation", "pose_zoom"), means.tolist(), strict=True):
            yield Case(measure, name, value, frame=int(clip["start_frame"]))
