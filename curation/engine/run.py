"""The whole pipeline: list, analyse, pick clips by the cheap rules, label them, select samples, sum up.

What is already committed is left alone: running again resumes, and running a finished run changes nothing.
"""

import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import polars as pl
import yaml

from curation.backends import Choice, asked_gpus, chosen, licence
from curation.config import RunConfig, override_config
from curation.contract.errors import CurationError, UsageError
from curation.contract.logs import log_context
from curation.contract.manifest import RunFolder, open_run
from curation.contract.schemas import CONTRACT_VERSION, SCHEMAS
from curation.contract.storage import cannot_go_on
from curation.engine import analyse, label
from curation.engine.budget import FailureBudget
from curation.engine.engine import Engine
from curation.engine.ledger import Ledger
from curation.engine.plan import WANTED, Plan, PlannedShards, plan_pass
from curation.engine.recorded_settings import record_settings, settings_changed_since
from curation.engine.run_lock import RunLock
from curation.engine.select import kept_clips, select, selection_fingerprint
from curation.engine.shards import ShardWorker
from curation.engine.summary import print_summary, write_summary
from curation.models.model_config import ModelConfig
from curation.selection.rules import drops_size
from curation.selection.verdicts import judge_early
from curation.video.listing import list_videos

log = logging.getLogger(__name__)

_VERSIONED = (
    "av",
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "polars",
    "pyarrow",
    "rapidocr",
    "ray",
    "torch",
    "transformers",
)


def run_curation(source: str, output: str, config: RunConfig, refit: bool = False) -> None:
    """Run the pipeline over `source` into the run folder `output`, then print the funnel.

    Raises:
        UsageError: the input or the output cannot be what they are said to be.
        CurationError: another run is at work there, too many items failed, or the run folder cannot be written.
    """
    started = time.monotonic()
    listing = list_videos(source, config.input)
    # Stages load their models only when they work; making them here tells early which backend is missing.
    analyse.analysis_stages(config)
    label.labelling_stages(config)
    run = RunFolder(output)
    _claim(run)
    with _ended_cleanly(), RunLock(run) as lock:
        _write_run_file(run, source, config)
        analysis = Ledger(run, analyse.PASS, analyse.DATASETS)
        labels = Ledger(run, label.PASS, label.DATASETS)
        swept = analysis.sweep() + labels.sweep() + run.remove_partial()
        if swept:
            log.info("removed %d files that an interrupted run left uncommitted", swept)

        with log_context(run=run.uri), Engine(config.engine, lock.note, run.uri) as engine:
            _say(
                f"{listing.files.height} videos in {source}"
                + (f" ({listing.ignored} other files)" if listing.ignored else "")
            )
            passes = _Passes(run, config, engine, lock.token)
            passes.analyse(analysis, listing.files)
            passes.label(analysis, labels, refit)
        lock.note(pass_name="select", items=0, done=0, failed=0)
        _select(run, config, refit, started)


def select_again(run_uri: str, overrides: list[str], refit: bool = False) -> None:
    """Apply changed thresholds to a finished run. Opens no video."""
    started = time.monotonic()
    run = open_run(run_uri)
    with _ended_cleanly(), RunLock(run):
        stored = yaml.safe_load(run.read_bytes("run.yaml"))
        config = override_config(stored["config"], overrides, f"{run.path('run.yaml')} with --set")
        _write_run_file(run, stored["input"], config)
        _select(run, config, refit, started)


@dataclass(frozen=True)
class WorkerSpec:
    """A worker as it travels to other processes: built there once, from values only.

    Attributes:
        owner: token of the run.
    """

    pass_name: str
    run: str
    config: str
    owner: str

    def __call__(self) -> ShardWorker:
        worker = {analyse.PASS: analyse.Analyser, label.PASS: label.Labeller}[self.pass_name]
        config = RunConfig.model_validate_json(self.config)
        return worker(RunFolder(self.run), config, config.engine.bounds(self.owner), self.owner)


class _Passes:
    """Both passes of one run: what each has to do is compared with its ledger, said, and done."""

    def __init__(self, run: RunFolder, config: RunConfig, engine: Engine, owner: str) -> None:
        self.run, self.config, self.engine, self.owner = run, config, engine, owner

    def analyse(self, ledger: Ledger, files: pl.DataFrame) -> None:
        """Analyse every file that was not analysed with these settings, or that changed since."""
        wanted = wanted_videos(files)
        chain, limits = analyse.analysis_chain(self.config), analyse.decode_limits(self.config)
        plan = plan_pass(ledger, wanted, chain, limits, self._changes, again=_admitted_now(self.run, self.config))
        self._run(ledger, analyse.PASS, analyse.analysis_fingerprint(self.config), plan, wanted.height)

    def label(self, analysis: Ledger, ledger: Ledger, refit: bool) -> None:
        """Label the clips that the rules keep now and that were not labelled before with these settings."""
        sources = analysis.frame(["item_id", "uri", "bytes"]).rename({"shard": "analysis_shard"})
        wanted = kept_clips(self.run, self.config, refit=refit).join(sources, on="item_id").select(*WANTED)
        chain = label.labelling_chain(self.config)
        plan = plan_pass(ledger, wanted, chain, "", self._changes, keep_unwanted=False)
        self._run(ledger, label.PASS, chain.fingerprint, plan, wanted.height)

    def _run(self, ledger: Ledger, pass_name: str, fingerprint: str, plan: Plan, items: int) -> None:
        ledger.retire(plan.retired)
        if not plan.items and plan.redone.is_empty():
            return
        record_settings(self.run, fingerprint, self.config)
        _say(f"{pass_name}: {plan.items} of {items} videos to do: {', '.join(plan.reasons)}")
        shards = PlannedShards.write(self.run, pass_name, plan.shards(pass_name, self.config.engine.shard_items))
        spec = WorkerSpec(pass_name, self.run.uri, self.config.model_dump_json(), self.owner)
        budget = FailureBudget(self.config.engine.max_failed, items, items - plan.items, plan.failed)
        self.engine.run_shards(
            pass_name, shards, plan.items, spec, "videos", budget, asked_gpus(self.config, pass_name)
        )
        shards.delete()

    def _changes(self, fingerprint: str, stages: list[str]) -> str:
        """Which settings of these stages differ from those behind a fingerprint; empty when none does."""
        return ", ".join(settings_changed_since(self.run, fingerprint, self.config, stages))


def wanted_videos(files: pl.DataFrame) -> pl.DataFrame:
    """Listed files as `plan_pass` wants them."""
    nothing = pl.lit([], dtype=WANTED["clips"])
    return files.select(
        pl.col("video_id").alias("item_id"),
        "uri",
        "bytes",
        nothing.alias("clips"),
        pl.lit("").alias("analysis_shard"),
    )


def _admitted_now(run: RunFolder, config: RunConfig) -> pl.Series:
    """Videos on which work was saved since the rules dropped them or a clip of theirs, and now do so no more."""
    return pl.concat([_passing_size(run, config), _wanting_scores(run, config)])


def _wanting_scores(run: RunFolder, config: RunConfig) -> pl.Series:
    """Videos with a clip that was not scored and that gets past every rule that needs no score."""
    manifests = {"videos": run.scan("videos"), "clips": run.scan(analyse.SCORED_CLIPS, SCHEMAS["clips"])}
    unscored = manifests["clips"].filter(pl.col("score_frames").is_null()).select(item_id="clip_id")
    judged = judge_early(manifests, config.rules)
    return judged.filter("kept").join(unscored, on="item_id", how="semi").collect()["parent_id"].unique()


def _passing_size(run: RunFolder, config: RunConfig) -> pl.Series:
    """Videos that were skipped for their size and whose size passes the rules as they are now."""
    skipped = (
        Ledger(run, analyse.PASS, analyse.DATASETS).frame(["item_id", "state"]).filter(pl.col("state") == "skipped")
    )
    if skipped.is_empty():
        return skipped["item_id"]
    sizes = run.scan("videos").select("video_id", "width", "height", "pixel_aspect")
    found = sizes.join(skipped.lazy(), left_on="video_id", right_on="item_id", how="semi").collect()
    names = [
        video["video_id"]
        for video in found.iter_rows(named=True)
        if video["width"] and not drops_size(config.rules, video["width"], video["height"], video["pixel_aspect"])
    ]
    return pl.Series(names, dtype=pl.String)


@contextmanager
def _ended_cleanly() -> Iterator[None]:
    """SIGTERM (schedulers, `ray job stop`, machines taken back) stops as Ctrl-C does; a full disk is one line."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, stop) if in_main else None
    try:
        yield
    except OSError as error:
        raise CurationError(cannot_go_on(error)) from error
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, before)


def _claim(run: RunFolder) -> None:
    """Refuse a folder that holds other things than a run."""
    if "://" in run.uri or run.exists("run.yaml") or not run.exists():
        return
    from pathlib import Path

    folder = Path(run.uri)
    if not folder.is_dir():
        raise UsageError(f"{run.uri}: is a file; --output names a folder")
    if any(folder.iterdir()):
        raise UsageError(f"{run.uri}: not empty and not a run folder; nothing is ever deleted, name another --output")


def _write_run_file(run: RunFolder, source: str, config: RunConfig) -> None:
    """Write run.yaml, unless it says the same already."""
    known = yaml.safe_load(run.read_bytes("run.yaml")) if run.exists("run.yaml") else {}
    content = {
        "created": known.get("created", datetime.now(UTC).isoformat(timespec="seconds")),
        "input": source,
        "preset": config.preset,
        "seed": config.seed,
        "contract_version": CONTRACT_VERSION,
        "versions": {name: _installed(name) for name in _VERSIONED},
        "backends": [_backend(choice) for choice in chosen(config)],
        "config": config.model_dump(mode="json"),
    }
    if content != known:
        run.write_bytes("run.yaml", yaml.safe_dump(content, sort_keys=False).encode())


def _backend(choice: Choice) -> dict[str, Any]:
    """What run.yaml says of a backend; the manifests name the same in every row."""
    settings, terms = choice.config, licence(choice)
    weights = {"weights": settings.weights, "revision": settings.revision} if isinstance(settings, ModelConfig) else {}
    hashed = {"config": settings.fingerprint()} if settings else {}
    free = {} if terms.commercial else {"commercial_use": False}
    return {
        "capability": choice.capability,
        "backend": choice.backend,
        **weights,
        **hashed,
        "licence": terms.name,
        **free,
    }


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _select(run: RunFolder, config: RunConfig, refit: bool, started: float) -> None:
    """Derive clips, samples and verdicts if anything that they depend on changed; print the summary."""
    fingerprint = selection_fingerprint(run, config)
    summary = json.loads(run.read_bytes("summary.json")) if run.exists("summary.json") else {}
    if refit or summary.get("selection") != fingerprint:
        select(run, config, refit)
        summary = write_summary(run, fingerprint, time.monotonic() - started)
    else:
        _say("nothing to do: this run is complete for this input and config")
    print_summary(run, summary)
