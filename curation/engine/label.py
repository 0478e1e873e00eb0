"""The labelling pass over one video: one more decode over the clips that the rules kept."""

import time
from fractions import Fraction
from typing import Any

import pyarrow as pa

from curation.config import RunConfig
from curation.contract.manifest import RunFolder
from curation.contract.spans import Span
from curation.contract.tables import Tables, table
from curation.engine.analyse import video_records
from curation.engine.attempts import guarded
from curation.engine.committer import commit_shard
from curation.engine.shards import Item, ItemReport, Shard, ShardReport
from curation.stages.captions import Captions
from curation.stages.discovery import discovery_grid
from curation.stages.events import FrameEvents
from curation.stages.identity import IdentityReferences
from curation.stages.objects import ObjectsOverClip
from curation.stages.query_points import QueryPoints
from curation.stages.region_boxes import RegionBoxes
from curation.stages.region_events import RegionEvents
from curation.stages.stage import ClipStage
from curation.stages.tracks import Tracks
from curation.video.clips import ClipRequest, read_clips
from curation.video.media import ClipFrames

PASS = "label"
LABELLED_CLIPS = "stages/labelled_clips"
DATASETS = ("objects", "tracks", "events", LABELLED_CLIPS)
_WRITTEN = {"objects": "objects", "tracks": "tracks", "events": "events", "clips": LABELLED_CLIPS}


def labelling_stages(config: RunConfig) -> list[ClipStage]:
    """In the order in which they run.

    Raises:
        BackendUnavailableError: a stage's backend is not installed here.
    """
    return [
        ObjectsOverClip(config.objects),
        QueryPoints(config.query_points),
        Tracks(config.tracks, config.tracking),
        FrameEvents(config.events),
        RegionBoxes(config.region_boxes),
        RegionEvents(config.region_events),
        IdentityReferences(config.identity),
        Captions(config.captions),
    ]


class Labeller:
    """Worker of the labelling pass: kept clips in; `objects`, `tracks`, `events` and captioned clips out.

    Args:
        own_process: this process exists for the work and may be killed when an item hangs.
    """

    def __init__(self, run: RunFolder, config: RunConfig, fingerprint: str, own_process: bool) -> None:
        self.run = run
        self.config = config
        self.fingerprint = fingerprint
        self.deadline_s = config.engine.item_deadline_s if own_process else None
        self.stages = labelling_stages(config)

    def __call__(self, shard: Shard) -> ShardReport:
        results = [self._item(item) for item in shard.items]
        return commit_shard(self.run, PASS, DATASETS, shard.name, self.fingerprint, results)

    def _item(self, item: Item) -> tuple[Tables, ItemReport]:
        report = ItemReport(item.item_id, item.uri, item.bytes, clips=list(item.clips))
        done: list[Tables] = []
        guarded(self.run, PASS, report, self.deadline_s, lambda: self.label(item, report, done))
        merged = {
            dataset: pa.concat_tables([tables[name] for tables in done if name in tables])
            for name, dataset in _WRITTEN.items()
            if any(name in tables for tables in done)
        }
        return merged, report

    def label(self, item: Item, report: ItemReport, done: list[Tables]) -> None:
        """Decode the kept clips of one video in one go and label each; appends to `done` clip by clip.

        Raises:
            VideoError: the file could be analysed but cannot be read now.
        """
        video, clips = video_records(self.run, item.analysis_shard, item.item_id)
        report.source_frames = video["frames"]
        wanted = {clip["clip_id"]: clip for clip in clips if clip["clip_id"] in item.clips}
        requests = [self._request(clip, video) for clip in wanted.values()]
        for frames, decoded in read_clips(video, requests, self.config.decode, seed=self.config.seed):
            report.decoded_frames = decoded
            before = {"videos": table("videos", [video]), "clips": table("clips", [wanted[frames.clip_id]])}
            try:
                done.append(self.label_clip(frames, before, report.stage_seconds))
            except Exception as error:  # noqa: BLE001 - one clip's bug must not cost its siblings
                report.clip_errors[frames.clip_id] = f"{type(error).__name__}: {error}"

    def label_clip(self, frames: ClipFrames, tables: Tables, clock: dict[str, float]) -> Tables:
        """Run every labelling stage over one clip in memory."""
        for stage in self.stages:
            before = time.perf_counter()
            tables = {**tables, **stage(frames, tables)}
            clock[stage.name] = clock.get(stage.name, 0.0) + time.perf_counter() - before
        return tables

    def _request(self, clip: dict[str, Any], video: dict[str, Any]) -> ClipRequest:
        """The clip's span, and where to keep it at picture size: wherever an object may be looked for."""
        span = Span(clip["start_frame"], clip["end_frame"])
        starts = [int(frame) - span.start for frame in clip["start_frames"]]
        fps = Fraction(video["fps_num"], video["fps_den"])
        grid = discovery_grid(span.length, fps, starts, self.config.objects.discovery_seconds)
        return ClipRequest(clip["clip_id"], span, sorted(span.start + frame for frame in grid))
