"""The labelling pass over one video: one more decode over the clips that the rules kept."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation.config import RunConfig
from curation.contract.errors import BackendUnavailableError, CurationError, ModelError, VideoError
from curation.contract.logs import log_context
from curation.contract.manifest import RunFolder
from curation.contract.schemas import CONTRACT_VERSION
from curation.contract.spans import Span
from curation.contract.tables import Tables, table
from curation.engine.analyse import EarlierShard, analysis_chain, video_records, without_columns
from curation.engine.attempts import add_counts, attempt, guarded, note_model_error, take_suspects
from curation.engine.bounds import Bounds
from curation.engine.committer import commit_shard
from curation.engine.redo import Chain, Step
from curation.engine.shards import Item, ItemReport, Shard, ShardReport
from curation.stages.captions import Captions
from curation.stages.discovery import discovery_grid
from curation.stages.events import FrameEvents
from curation.stages.identity import IdentityReferences
from curation.stages.objects import ObjectsOverClip
from curation.stages.query_points import QueryPoints
from curation.stages.region_boxes import RegionBoxes
from curation.stages.region_events import RegionEvents
from curation.stages.stage import ClipStage, DeferredClipStage
from curation.stages.tracks import Tracks
from curation.video.clips import ClipRequest, read_clips
from curation.video.media import ClipFrames

PASS = "label"
LABELLED_CLIPS = "stages/labelled_clips"
DATASETS = ("objects", "tracks", "events", LABELLED_CLIPS)
# Which frames a clip has, and which of them in larger pictures.
_FRAMES = ("clips.start_frame", "clips.end_frame", "clips.start_frames")
LABEL_COLUMNS = tuple(column.partition(".")[2] for column in Captions.writes)  # of `clips`
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


def labelling_chain(config: RunConfig) -> Chain:
    """What each stage depends on, to tell which to run again."""
    settings = (
        (ObjectsOverClip, (config.objects,)),
        (QueryPoints, (config.query_points,)),
        (Tracks, (config.tracks, config.tracking)),
        (FrameEvents, (config.events,)),
        (RegionBoxes, (config.region_boxes,)),
        (RegionEvents, (config.region_events,)),
        (IdentityReferences, (config.identity,)),
        (Captions, (config.captions,)),
    )
    steps = [
        Step(stage.name, (*stage.reads, *_FRAMES), stage.writes, " ".join(part.fingerprint() for part in own))
        for stage, own in settings
    ]
    return Chain(steps, f"{CONTRACT_VERSION} {config.seed}", analysis_chain(config))


@dataclass(eq=False)
class _Labelled:
    """A clip on its way: its tables, and by stage what is still to be answered."""

    clip_id: str
    tables: Tables
    asked: dict[str, Any]
    report: ItemReport


class Labeller:
    """Worker of the labelling pass: kept clips in; `objects`, `tracks`, `events` and captioned clips out.

    Args:
        bounds: what one video may take.
        owner: token of the run that this works for.
    """

    def __init__(self, run: RunFolder, config: RunConfig, bounds: Bounds, owner: str) -> None:
        self.run = run
        self.config = config
        self.bounds = bounds
        self.owner = owner
        self.chain = labelling_chain(config)
        self.fingerprint = self.chain.fingerprint
        self.stages = labelling_stages(config)

    def __call__(self, shard: Shard) -> ShardReport:
        items, suspects = take_suspects(self.run, PASS, shard, self.bounds)
        earlier = EarlierShard(self.run, PASS, DATASETS, shard)
        done: list[_Labelled] = []
        reports = [self._item(item, earlier, done) for item in items]
        self._answer(shard.name, done)
        results = [
            (earlier.kept(item.item_id)[0] if item.settled else _merged(done, report), report)
            for item, report in zip(items, reports, strict=True)
        ]
        return commit_shard(
            self.run, PASS, DATASETS, shard.name, self.fingerprint, results, owner=self.owner, deferred=suspects
        )

    def _item(self, item: Item, earlier: EarlierShard, done: list["_Labelled"]) -> ItemReport:
        if item.settled:
            return earlier.kept(item.item_id)[1]
        report = ItemReport(item.item_id, item.uri, item.bytes, clips=list(item.clips))
        known: Tables = {}
        labelled: set[str] = set()
        if item.redo is not None:
            known, before = earlier.kept(item.item_id)
            labelled = set(before.clips) - before.clip_errors.keys()
            report.decoded_frames, report.stage_seconds = before.decoded_frames, before.stage_seconds
        work = lambda: self.label(item, report, done, known, labelled)  # noqa: E731
        guarded(self.run, PASS, report, self.bounds, work, self.config.engine.on_error)
        return report

    def _answer(self, shard: str, done: list["_Labelled"]) -> None:
        """Let the deferred stages answer for all clips of the shard at once; a clip without an answer is dropped."""
        for stage in self.stages:
            asking = [one for one in done if stage.name in one.asked]
            if not isinstance(stage, DeferredClipStage) or not asking:
                continue
            before = time.perf_counter()
            answers = self._answers(shard, stage, asking)
            add_counts(asking[0].report)
            share = (time.perf_counter() - before) / len(asking)
            for one, answer in zip(asking, answers, strict=True):
                clock = one.report.stage_seconds
                clock[stage.name] = clock.get(stage.name, 0.0) + share
                one.report.seconds += share
                if isinstance(answer, Exception):
                    self._note(one.report, one.clip_id, answer)
                    done.remove(one)
                else:
                    one.tables |= answer

    def _answers(
        self, shard: str, stage: DeferredClipStage, asking: Sequence["_Labelled"]
    ) -> Sequence[Tables | CurationError | RuntimeError]:
        limit = self.bounds.deadline_s
        bounds = replace(self.bounds, deadline_s=limit and limit * len(asking))
        try:
            with attempt(self.run, PASS, shard, bounds):
                return stage.answer([one.asked[stage.name] for one in asking])
        except (BackendUnavailableError, VideoError) as error:
            return [error] * len(asking)
        except Exception as error:  # noqa: BLE001 - a bug that one of the clips brings out
            return [RuntimeError(f"{type(error).__name__}: {error}")] * len(asking)

    def _note(self, report: ItemReport, clip_id: str, error: Exception) -> None:
        """Put down why a clip could not be labelled."""
        report.clip_errors[clip_id] = str(error)
        if isinstance(error, ModelError):
            note_model_error(report, error, self.config.engine.on_error)
        if isinstance(error, BackendUnavailableError):
            report.stop = str(error)

    def label(self, item: Item, report: ItemReport, done: list["_Labelled"], known: Tables, labelled: set[str]) -> None:
        """Decode the kept clips of one video in one go and label each; appends to `done` clip by clip.

        Args:
            known: rows by dataset that earlier runs gave of this video; `labelled`: the clips that they are of.

        Raises:
            VideoError: the file could be analysed but cannot be read now.
        """
        video, clips = video_records(self.run, item.analysis_shard, item.item_id)
        report.source_frames = video["frames"]
        wanted = {clip["clip_id"]: clip for clip in clips if clip["clip_id"] in item.clips}
        requests = []
        for clip_id, clip in wanted.items():
            if clip_id in labelled and item.redo == ():
                tables = self._known_labels(known, table("clips", [clip]), ())
                done.append(_Labelled(clip_id, tables, {}, report))
            else:
                requests.append(self._request(clip, video))
        decoded_before = report.decoded_frames
        for frames, decoded in read_clips(video, requests, self.config.decode, seed=self.config.seed):
            report.decoded_frames = decoded_before + decoded
            tables = {"videos": table("videos", [video]), "clips": table("clips", [wanted[frames.clip_id]])}
            redo = None
            if frames.clip_id in labelled:
                redo = item.redo
                tables |= self._known_labels(known, tables["clips"], redo or ())
            try:
                done.append(self.label_clip(frames, tables, report, redo))
            except (ModelError, BackendUnavailableError) as error:
                self._note(report, frames.clip_id, error)
            except Exception as error:  # noqa: BLE001 - one clip's bug must not cost its siblings
                report.clip_errors[frames.clip_id] = f"{type(error).__name__}: {error}"

    def _known_labels(self, known: Tables, scored: pa.Table, redo: Sequence[str]) -> Tables:
        """One clip's earlier labels, without what is made anew; its row: scores of today, labels of then."""
        own = pc.field("clip_id") == scored["clip_id"][0]
        tables = {name: known[dataset].filter(own) for name, dataset in _WRITTEN.items()}
        tables["clips"] = with_labels(scored, tables["clips"])
        return without_columns(tables, self.chain, redo)

    def label_clip(
        self, frames: ClipFrames, tables: Tables, report: ItemReport, redo: Sequence[str] | None = None
    ) -> "_Labelled":
        """Run the labelling stages over one clip in memory; deferred ones only ask.

        Args:
            redo: only these stages, on tables that hold the others'; None for all.
        """
        clock = report.stage_seconds
        asked = {}
        for stage in self.stages:
            if redo is not None and stage.name not in redo:
                continue
            before = time.perf_counter()
            with log_context(stage=f"{PASS}.{stage.name}"):
                if isinstance(stage, DeferredClipStage):
                    asked[stage.name] = stage.ask(frames, tables)
                else:
                    tables = {**tables, **stage(frames, tables)}
            clock[stage.name] = clock.get(stage.name, 0.0) + time.perf_counter() - before
        return _Labelled(frames.clip_id, tables, asked, report)

    def _request(self, clip: dict[str, Any], video: dict[str, Any]) -> ClipRequest:
        """The clip's span, and where to keep it at picture size: wherever an object may be looked for."""
        span = Span(clip["start_frame"], clip["end_frame"])
        starts = [int(frame) - span.start for frame in clip["start_frames"]]
        fps = Fraction(video["fps_num"], video["fps_den"])
        grid = discovery_grid(span.length, fps, starts, self.config.objects.discovery_seconds)
        return ClipRequest(clip["clip_id"], span, sorted(span.start + frame for frame in grid))


def _merged(done: Sequence[_Labelled], report: ItemReport) -> Tables:
    """The tables of all clips of one video, by the dataset that they are written to."""
    own = [one.tables for one in done if one.report is report]
    return {
        dataset: pa.concat_tables([tables[name] for tables in own if name in tables])
        for name, dataset in _WRITTEN.items()
        if any(name in tables for tables in own)
    }


def with_labels(scored: pa.Table, labelled: pa.Table) -> pa.Table:
    """Rows of `clips` with the columns that labelling writes taken from `labelled`, row by row the same clips."""
    for column in LABEL_COLUMNS:
        at = scored.schema.get_field_index(column)
        scored = scored.set_column(at, scored.schema.field(at), labelled[column])
    return scored
