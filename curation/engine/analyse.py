"""The analysis pass over one video: a single decode feeds every stage that watches frames."""

import time
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation.config import RunConfig
from curation.contract.logs import log_context
from curation.contract.manifest import RunFolder
from curation.contract.schemas import CONTRACT_VERSION
from curation.contract.tables import Tables, records, table
from curation.engine.attempts import guarded, take_suspects
from curation.engine.bounds import Bounds
from curation.engine.committer import commit_shard
from curation.engine.ledger import Ledger
from curation.engine.redo import Chain, Step
from curation.engine.shards import Item, ItemReport, Shard, ShardReport
from curation.selection.rules import drops_size, wants_scores
from curation.stages.camera import CameraMotion
from curation.stages.clips import ClipSelection
from curation.stages.image_scores import ImageScores
from curation.stages.shots import ShotDetection
from curation.stages.stage import FrameObserver, FrameStage, Stage, TableStage
from curation.stages.start_frames import StartFrames
from curation.video.decode import analyse_frames

PASS = "analyse"
SCORED_CLIPS = "stages/scored_clips"
DATASETS = ("videos", "shots", SCORED_CLIPS)
_KEYS = {"clip_id", "object_id", "shot_index"}  # who writes one of these writes the rows


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


def analysis_chain(config: RunConfig) -> Chain:
    """What each stage depends on, to tell which to run again."""
    settings = (
        (ShotDetection, config.shots),
        (ClipSelection, config.clips),
        (StartFrames, config.start_frames),
        (ImageScores, config.image_scores),
        (CameraMotion, config.camera),
    )
    steps = [Step(stage.name, stage.reads, stage.writes, own.fingerprint()) for stage, own in settings]
    return Chain(steps, f"{CONTRACT_VERSION} {config.seed}")


def decode_limits(config: RunConfig) -> str:
    """What limits decoding, as a part of a fingerprint: it changes nothing of a video that could be decoded."""
    return f"decode={config.decode.fingerprint()}"


def analysis_fingerprint(config: RunConfig) -> str:
    """What analysed videos are made with, as their ledger keeps it."""
    return f"{analysis_chain(config).fingerprint} {decode_limits(config)}"


class Analyser:
    """Worker of the analysis pass: videos in; `videos`, `shots` and scored clips out.

    Args:
        bounds: what one video may take.
        owner: token of the run that this works for.
    """

    def __init__(self, run: RunFolder, config: RunConfig, bounds: Bounds, owner: str) -> None:
        self.run = run
        self.config = config
        self.bounds = bounds
        self.owner = owner
        self.chain = analysis_chain(config)
        self.fingerprint = analysis_fingerprint(config)
        self.stages = analysis_stages(config)

    def __call__(self, shard: Shard) -> ShardReport:
        items, suspects = take_suspects(self.run, PASS, shard, self.bounds)
        earlier = EarlierShard(self.run, PASS, DATASETS, shard)
        results = [self._item(item, earlier) for item in items]
        return commit_shard(
            self.run, PASS, DATASETS, shard.name, self.fingerprint, results, owner=self.owner, deferred=suspects
        )

    def _item(self, item: Item, earlier: "EarlierShard") -> tuple[Tables, ItemReport]:
        if item.settled:
            return earlier.kept(item.item_id)
        report, known = ItemReport(item.item_id, item.uri, item.bytes), None
        if item.redo is not None:
            tables, before = earlier.kept(item.item_id)
            known = {"clips" if name == SCORED_CLIPS else name: rows for name, rows in tables.items()}
            report.decoded_frames, report.stage_seconds = before.decoded_frames, before.stage_seconds
        work = lambda: self.analyse(item, report, known)  # noqa: E731
        tables = guarded(self.run, PASS, report, self.bounds, work, self.config.engine.on_error)
        if tables is None:
            tables = {"videos": table("videos", [_unreadable(item, report.detail or "")])}
        return {**tables, SCORED_CLIPS: tables.pop("clips")} if "clips" in tables else tables, report

    def analyse(self, item: Item, report: ItemReport, known: Tables | None = None) -> Tables:
        """Run the stages over one video: all of them, or those of `item.redo` on top of what is `known`.

        The file is decoded once; not at all when no stage that runs wants to see frames.

        Raises:
            VideoError: the file cannot be read, in one line.
        """
        chosen = self.stages
        if known is not None:
            chosen = [stage for stage in self.stages if stage.name in (item.redo or ())]
            known = without_columns(known, self.chain, item.redo or ())
        observers: dict[str, FrameObserver] = {}
        clock: dict[str, float] = {}
        if known is None or any(isinstance(stage, FrameStage) for stage in chosen):
            with analyse_frames(item.uri, item.item_id, self.config.decode) as frames:
                header = frames.header
                size = (header.width, header.height, float(header.pixel_aspect))
                if known is None and (skip := drops_size(self.config.rules, *size)):
                    chosen, report.state, report.detail = [], "skipped", skip
                observers = {stage.name: stage.start(header) for stage in chosen if isinstance(stage, FrameStage)}
                clock = dict.fromkeys(observers, 0.0)
                for frame in frames:
                    for name, observer in observers.items():
                        before = time.perf_counter()
                        observer.observe(frame)
                        clock[name] += time.perf_counter() - before
                facts = frames.facts() | {"uri": item.uri, "bytes": item.bytes}
                report.decoded_frames += frames.decoded_frames
            known = {**(known or {}), "videos": table("videos", [facts])}
        tables = known
        report.source_frames = tables["videos"]["frames"][0].as_py()
        for stage in chosen:
            before = time.perf_counter()
            with log_context(stage=f"{PASS}.{stage.name}"):
                finish = stage if isinstance(stage, TableStage) else observers[stage.name].finish
                tables |= finish(tables)
            clock[stage.name] = clock.get(stage.name, 0.0) + time.perf_counter() - before
        report.stage_seconds = {**report.stage_seconds, **clock}
        return tables


class EarlierShard:
    """What is committed already under a shard's name, to build on. Read when first asked for."""

    def __init__(self, run: RunFolder, pass_name: str, datasets: tuple[str, ...], shard: Shard) -> None:
        self._ledger = Ledger(run, pass_name, datasets)
        self._run, self._datasets, self._name = run, datasets, shard.name
        self._tables: Tables = {}
        self._reports: dict[str, ItemReport] = {}

    def kept(self, item_id: str) -> tuple[Tables, ItemReport]:
        """An item's rows by dataset, and its report."""
        if not self._reports:
            self._reports = self._ledger.reports(self._name)
            self._tables = {name: self._run.read_shard(name, self._name) for name in self._datasets}
        own = pc.field("video_id") == item_id
        return {name: rows.filter(own) for name, rows in self._tables.items()}, self._reports[item_id]


def without_columns(tables: Tables, chain: Chain, stages: Iterable[str]) -> Tables:
    """Tables without what these stages wrote: their columns null, their tables gone.

    A stage that has nothing to say of a row leaves its columns alone; what it once said must not stay there.
    """
    result = dict(tables)
    for manifest, columns in chain.columns(stages).items():
        if not columns or _KEYS & set(columns):
            result.pop(manifest, None)
        elif manifest in result:
            rows = result[manifest]
            for column in columns:
                at = rows.schema.get_field_index(column)
                kind = rows.schema.field(at)
                rows = rows.set_column(at, kind, pa.nulls(rows.num_rows, kind.type))
            result[manifest] = rows
    return result


def _unreadable(item: Item, error: str) -> dict[str, Any]:
    return {"video_id": item.item_id, "uri": item.uri, "bytes": item.bytes, "error": " ".join(error.split())}


def video_records(run: RunFolder, shard: str, item_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the analysis pass found of one video: its row of `videos` and its scored clips."""

    def of_item(dataset: str) -> list[dict[str, Any]]:
        return records(run.read_shard(dataset, shard).filter(pc.field("video_id") == item_id))

    return of_item("videos")[0], of_item(SCORED_CLIPS)
