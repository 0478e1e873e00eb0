"""Labels of a finished run against the truth: cases of every measure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from curation.contract.manifest import RunFolder
from curation.contract.tables import records
from eval.labels.cases import Case
from eval.labels.labelled import LabelledClip
from eval.labels.match import match_clip
from eval.labels.score_events import event_cases
from eval.labels.score_objects import object_cases
from eval.labels.score_shots import camera_cases, transition_cases

Record = Mapping[str, Any]


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

    @property
    def by_hand(self) -> bool:
        return any(clip.by_hand for clip in self.clips)


def score_clip(labelled: LabelledClip, run: RunLabels) -> Iterator[Case]:
    """Every case of one labelled file. What is not labelled yields no case."""
    video = run.videos.get(labelled.name)
    if video is None or video["error"]:
        reason = video["error"] if video else "not in the videos manifest"
        yield Case("unreadable", labelled.name, outcome="missed", note=reason)
        return
    name = video["video_id"]
    yield from transition_cases(labelled, run.shots[name])
    yield from camera_cases(labelled, run.clips[name], video)
    fps = video["fps_num"] / video["fps_den"]
    matches = [match_clip(labelled, clip, run.objects[clip["clip_id"]], run.tracks, fps) for clip in run.clips[name]]
    if labelled.objects is not None:
        yield from object_cases(labelled, matches, fps)
    yield from event_cases(labelled, matches, run.events[name], fps)


def _by(rows: list[Any], key: str) -> defaultdict[str, list[Any]]:
    groups: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        groups[row[key]].append(row)
    return groups
