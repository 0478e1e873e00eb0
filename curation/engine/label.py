"""The labelling pass over one video: one more decode over the clips that the rules kept."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pyarrow as pa

from curation.config import RunConfig
from curation.contract.errors import BackendUnavailableError, ModelError
from curation.contract.manifest import RunFolder
from curation.contract.spans import Span
from curation.contract.tables import Tables, table
from curation.engine.analyse import video_records
from curation.engine.attempts import add_counts, guarded, note_model_error
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
from curation.stages.stage import ClipStage, DeferredClipStage
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
        own_process: this process exists for the work and may be killed when an item hangs.
    """

    def __init__(self, run: RunFolder, config: RunConfig, fingerprint: str, own_process: bool) -> None:
        self.run = run
        self.config = config
        self.fingerprint = fingerprint
        self.deadline_s = config.engine.item_deadline_s if own_process else None
        self.stages = labelling_stages(config)

    def __call__(self, shard: Shard) -> ShardReport:
        done: list[_Labelled] = []
        reports = [self._item(item, done) for item in shard.items]
        self._answer(done)
        results = [(_merged([one.tables for one in done if one.report is report]), report) for report in reports]
        return commit_shard(self.run, PASS, DATASETS, shard.name, self.fingerprint, results)

    def _item(self, item: Item, done: list["_Labelled"]) -> ItemReport:
        report = ItemReport(item.item_id, item.uri, item.bytes, clips=list(item.clips))
        on_error = self.config.engine.on_error
        guarded(self.run, PASS, report, self.deadline_s, lambda: self.label(item, report, done), on_error)
        return report

    def _answer(self, done: list["_Labelled"]) -> None:
        """Let the deferred stages answer for all clips of the shard at once; a clip without an answer is dropped."""
        for stage in self.stages:
            if not isinstance(stage, DeferredClipStage) or not done:
                continue
            before = time.perf_counter()
            first = done[0].report
            answers = self._answers(stage, done)
            add_counts(first)
            share = (time.perf_counter() - before) / len(done)
            for one, answer in zip(list(done), answers, strict=True):
                clock = one.report.stage_seconds
                clock[stage.name] = clock.get(stage.name, 0.0) + share
                one.report.seconds += share
                if isinstance(answer, Exception):
                    self._note(one.report, one.clip_id, answer)
                    done.remove(one)
                else:
                    one.tables |= answer

    def _answers(
        self, stage: DeferredClipStage, done: Sequence["_Labelled"]
    ) -> Sequence[Tables | ModelError | BackendUnavailableError | RuntimeError]:
        try:
            return stage.answer([one.asked[stage.name] for one in done])
        except BackendUnavailableError as error:
            return [error] * len(done)
        except Exception as error:  # noqa: BLE001 - a bug that one of the clips brings out
            return [RuntimeError(f"{type(error).__name__}: {error}")] * len(done)

    def _note(self, report: ItemReport, clip_id: str, error: Exception) -> None:
        """Put down why a clip could not be labelled."""
        report.clip_errors[clip_id] = str(error)
        if isinstance(error, ModelError):
            note_model_error(report, error, self.config.engine.on_error)
        if isinstance(error, BackendUnavailableError):
            report.stop = str(error)

    def label(self, item: Item, report: ItemReport, done: list["_Labelled"]) -> None:
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
                done.append(self.label_clip(frames, before, report))
            except (ModelError, BackendUnavailableError) as error:
                self._note(report, frames.clip_id, error)
            except Exception as error:  # noqa: BLE001 - one clip's bug must not cost its siblings
                report.clip_errors[frames.clip_id] = f"{type(error).__name__}: {error}"

    def label_clip(self, frames: ClipFrames, tables: Tables, report: ItemReport) -> "_Labelled":
        """Run every labelling stage over one clip in memory; deferred ones only ask."""
        clock = report.stage_seconds
        asked = {}
        for stage in self.stages:
            before = time.perf_counter()
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


def _merged(done: list[Tables]) -> Tables:
    """The tables of all clips of one video, by the dataset that they are written to."""
    return {
        dataset: pa.concat_tables([tables[name] for tables in done if name in tables])
        for name, dataset in _WRITTEN.items()
        if any(name in tables for tables in done)
    }
