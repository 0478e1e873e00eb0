"""Benchmark samples out of a run of curation: strict ones of the split that training never sees."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl
import pyarrow.compute as pc

from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder, find_record, open_run, scan_manifest
from curation.contract.tables import records
from eval.benchmark.choose import Candidate, choose
from eval.benchmark.plan import ClipPlan, PlannedObject
from eval.subject import asked_event, kind_of
from inference.from_sample import TARGET_FPS, read_sample

_SPLIT = "bench"


class RunSource:
    """A `Source`. Samples are chosen when it is made.

    Args:
        per_kind: at most so many Frame In and so many Frame Out samples.
        num_frames: frames that a clip needs, at about 12 per second.

    Raises:
        UsageError: no run there, or the run holds back no video.
    """

    def __init__(self, run: str, per_kind: int, num_frames: int, seed: int) -> None:
        self.run: RunFolder = open_run(run)
        self.uri = self.run.uri
        self.title = f"split `{_SPLIT}` of a run of curation, strict samples"
        self.num_frames = num_frames
        self.left_out: dict[str, int] = {}
        candidates = self._candidates()
        self.chosen: list[Candidate] = []
        for kind in ("frame_in", "frame_out"):
            of_kind = [candidate for candidate in candidates if candidate.kind == kind]
            picked = choose(of_kind, per_kind, seed)
            self.chosen += picked
            if len(of_kind) > len(picked):
                self.left_out[f"more {kind} samples than asked for"] = len(of_kind) - len(picked)
        self.names = [candidate.sample_id for candidate in self.chosen]

    def plans(self, done: set[str]) -> Iterator[ClipPlan]:
        """See `Source.plans`."""
        for candidate in self.chosen:
            if candidate.sample_id not in done:
                yield self._plan(candidate)

    def _candidates(self) -> list[Candidate]:
        held_back = self.run.read("samples", ["clip_id", "split"]).filter(pc.field("split") == _SPLIT)
        events = self._events(held_back["clip_id"].to_pylist())
        reasons: Counter[str] = Counter()
        found = []
        for shard in self.run.shards("samples"):
            if _SPLIT in self.run.read_shard("samples", shard, ["split"])["split"].to_pylist():
                rows = self.run.read_shard("samples", shard).filter(pc.field("split") == _SPLIT)
                candidates = (self._candidate(sample, events, reasons) for sample in records(rows))
                found += [candidate for candidate in candidates if candidate]
        if not held_back.num_rows:
            raise UsageError(
                f"{self.uri}: no sample is held back for a benchmark; give its split a share of the videos: "
                f"python -m curation select {self.uri} --set split.bench=0.2"
            )
        self.left_out |= dict(reasons)
        return found

    def _events(self, clips: list[str]) -> Mapping[str, list[Mapping[str, Any]]]:
        """Events of the objects of some clips, by object."""
        by_object: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
        rows = scan_manifest(self.run.uri, "events").filter(pl.col("clip_id").is_in(clips)).collect()
        for event in rows.iter_rows(named=True):
            by_object[event["object_id"]].append(event)
        return by_object

    def _candidate(
        self, sample: Mapping[str, Any], events: Mapping[str, Any], reasons: Counter[str]
    ) -> Candidate | None:
        if not sample["strict"]:
            reasons["not strict: the object is not seen to cross a region box"] += 1
            return None
        frames = _frames(sample, self.num_frames)
        if frames is None:
            reasons[f"shorter than {self.num_frames} frames at about {TARGET_FPS:g} per second"] += 1
            return None
        kind, late, unseen = kind_of(sample), 0, 0
        # Boxes come largest first, and the published protocol takes the largest.
        for box in sample["region_boxes"]:
            of_box = {**sample, "region_boxes": [box], "end_frame": frames[-1] + 1}
            for item in sample["objects"]:
                if kind == "frame_in" and not item["is_identity"]:
                    continue
                event = asked_event(of_box, item["object_id"], events[item["object_id"]])
                if event is None:
                    late += 1
                elif not np.asarray(item["visibility"])[0].any():
                    unseen += 1
                else:
                    return Candidate(
                        sample_id=sample["sample_id"],
                        video_id=sample["video_id"],
                        object_id=item["object_id"],
                        kind=kind,
                        side=event.side,
                        label=item["label"] or "object",
                        region_box=(int(box[0]), int(box[1]), int(box[2]), int(box[3])),
                        event_frame=event.frame,
                    )
        what = "not in view in the first frame" if unseen else f"crosses no region box within {self.num_frames} frames"
        reasons[f"the object is {what}" if unseen else f"the object {what}"] += 1
        return None

    def _plan(self, candidate: Candidate) -> ClipPlan:
        sample = read_sample(self.run, candidate.sample_id)
        video = find_record(self.run, "videos", "video_id", sample["video_id"])
        assert video is not None, "every sample has a row in videos"
        frames = _frames(sample, self.num_frames)
        assert frames is not None, "short samples are no candidates"
        objects = [self._object(item, frames, sample["start_frame"]) for item in sample["objects"]]
        objects.sort(key=lambda item: item.object_id != candidate.object_id)
        stride = frames[1] - frames[0]
        reference = sample["identity_reference"] if candidate.kind == "frame_in" else None
        return ClipPlan(
            sample_id=candidate.sample_id,
            kind=candidate.kind,
            video=video,
            frames=frames,
            fps=sample["fps"] / stride,
            caption=sample["caption"] or "",
            region_box=candidate.region_box,
            objects=objects,
            side=candidate.side,
            event_frame=_clip_frame(candidate, frames[0], stride),
            identity=reference["bytes"] if reference else None,
        )

    def _object(self, item: Mapping[str, Any], frames: list[int], start: int) -> PlannedObject:
        rows = [frame - start for frame in frames]
        track = find_record(self.run, "tracks", "object_id", item["object_id"])
        masks = None if track is None else track["masks"]
        return PlannedObject(
            object_id=item["object_id"],
            label=item["label"] or "object",
            points=np.asarray(item["points"], np.float32)[rows],
            visibility=np.asarray(item["visibility"], bool)[rows],
            masks=None if masks is None or track is None else [masks[frame - track["start_frame"]] for frame in frames],
        )


def _clip_frame(candidate: Candidate, start: int, stride: int) -> int:
    """The event's frame in the clip: the first at or after an entry, the last at or before an exit."""
    away = candidate.event_frame - start
    return -(-away // stride) if candidate.kind == "frame_in" else away // stride


def _frames(sample: Mapping[str, Any], count: int) -> list[int] | None:
    """`count` source frames from the sample's first on, about 12 per second; None when it is too short."""
    stride = max(1, round(sample["fps"] / TARGET_FPS))
    frames = list(range(int(sample["start_frame"]), int(sample["end_frame"]), stride))[:count]
    return frames if len(frames) == count else None
