"""The analysis pass over one video: a single decode feeds every stage that watches frames."""

import time
from typing import Any

import pyarrow.compute as pc

from curation.config import RunConfig
from curation.contract.manifest import RunFolder
from curation.contract.tables import Tables, records, table
from curation.engine.attempts import guarded
from curation.engine.committer import commit_shard
from curation.engine.shards import Item, ItemReport, Shard, ShardReport
from curation.selection.rules import drops_size, wants_scores
from curation.stages.camera import CameraMotion
from curation.stages.clips import ClipSelection
from curation.stages.image_scores import ImageScores
from curation.stages.shots import ShotDetection
from curation.stages.stage import FrameStage, Stage, TableStage
from curation.stages.start_frames import StartFrames
from curation.video.decode import analyse_frames

PASS = "analyse"
SCORED_CLIPS = "stages/scored_clips"
DATASETS = ("videos", "shots", SCORED_CLIPS)


def analysis_stages(config: RunConfig) -> list[Stage]:
    """In the order in which they finish: each may read what the ones before it wrote.

    Raises:
        BackendUnavailableError: a stage's backend is not installed here.
    """
    return [
        ShotDetection(config.shots),
        ClipSelection(config.clips),
        StartFrames(config.start_frames),
        ImageScores(config.image_scores, wanted=lambda clip, video: wants_scores(config.rules, clip, video)),
        CameraMotion(config.camera),
    ]


class Analyser:
    """Worker of the analysis pass: videos in; `videos`, `shots` and scored clips out.

    Args:
        own_process: this process exists for the work and may be killed when an item hangs.
    """

    def __init__(self, run: RunFolder, config: RunConfig, fingerprint: str, own_process: bool) -> None:
        self.run = run
        self.config = config
        self.fingerprint = fingerprint
        self.deadline_s = config.engine.item_deadline_s if own_process else None

        self.stages = analysis_stages(config)

    def __call__(self, shard: Shard) -> ShardReport:
        results = [self._item(item) for item in shard.items]
        return commit_shard(self.run, PASS, DATASETS, shard.name, self.fingerprint, results)

    def _item(self, item: Item) -> tuple[Tables, ItemReport]:
        report = ItemReport(item.item_id, item.uri, item.bytes)
        tables = guarded(
            self.run, PASS, report, self.deadline_s, lambda: self.analyse(item, report), self.config.engine.on_error
        )
        if tables is None:
            tables = {"videos": table("videos", [_unreadable(item, report.detail or "")])}
        return {**tables, SCORED_CLIPS: tables.pop("clips")} if "clips" in tables else tables, report

    def analyse(self, item: Item, report: ItemReport) -> Tables:
        """Decode one video once and run every stage over it.

        Raises:
            VideoError: the file cannot be read, in one line.
        """
        with analyse_frames(item.uri, item.item_id, self.config.decode) as frames:
            header, rules = frames.header, self.config.rules
            skip = drops_size(rules, header.width, header.height, float(header.pixel_aspect))
            stages = [] if skip else self.stages
            observers = {stage.name: stage.start(header) for stage in stages if isinstance(stage, FrameStage)}
            clock = dict.fromkeys(observers, 0.0)
            for frame in frames:
                for name, observer in observers.items():
                    before = time.perf_counter()
                    observer.observe(frame)
                    clock[name] += time.perf_counter() - before
            facts = frames.facts()
            report.decoded_frames = frames.decoded_frames
        report.source_frames = facts["frames"]
        facts |= {"uri": item.uri, "bytes": item.bytes}
        tables: Tables = {"videos": table("videos", [facts])}
        for stage in stages:
            before = time.perf_counter()
            if isinstance(stage, TableStage):
                tables |= stage(tables)
            else:
                tables |= observers[stage.name].finish(tables)
            clock[stage.name] = clock.get(stage.name, 0.0) + time.perf_counter() - before
        if skip:
            report.state, report.detail = "skipped", skip
        report.stage_seconds = clock
        return tables


def _unreadable(item: Item, error: str) -> dict[str, Any]:
    return {"video_id": item.item_id, "uri": item.uri, "bytes": item.bytes, "error": " ".join(error.split())}


def video_records(run: RunFolder, shard: str, item_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the analysis pass found of one video: its row of `videos` and its scored clips."""

    def of_item(dataset: str) -> list[dict[str, Any]]:
        return records(run.read_shard(dataset, shard).filter(pc.field("video_id") == item_id))

    return of_item("videos")[0], of_item(SCORED_CLIPS)
