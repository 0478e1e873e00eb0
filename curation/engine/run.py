"""The whole pipeline: list, analyse, pick clips by the cheap rules, label them, select samples, sum up.

What is already committed is left alone: running again resumes, and running a finished run changes nothing.
"""

import json
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import yaml

from curation.backends import Choice, asked_gpus, chosen, licence
from curation.config import RunConfig, override_config
from curation.contract import ids
from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder, open_run
from curation.contract.schemas import CONTRACT_VERSION
from curation.engine import analyse, label
from curation.engine.engine import Engine
from curation.engine.ledger import Ledger
from curation.engine.select import kept_clips, select, selection_fingerprint
from curation.engine.shards import Item, ShardWorker
from curation.engine.summary import print_summary, write_summary
from curation.models.model_config import ModelConfig
from curation.selection.rules import drops_size
from curation.video.listing import SourceFile, list_videos

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
    """
    started = time.monotonic()
    listing = list_videos(source, config.input)
    # Stages load their models only when they work; making them here tells early which backend is missing.
    analyse.analysis_stages(config)
    label.labelling_stages(config)
    run = RunFolder(output)
    _claim(run)
    _write_run_file(run, source, config)

    analysis = Ledger(run, analyse.PASS, analyse.DATASETS)
    labels = Ledger(run, label.PASS, label.DATASETS)
    swept = analysis.sweep() + labels.sweep()
    if swept:
        log.info("removed %d files that an interrupted run left uncommitted", swept)

    with Engine(config.engine) as engine:
        _say(
            f"{len(listing.files)} videos in {source}"
            + (f" ({listing.ignored} other files)" if listing.ignored else "")
        )
        fingerprint = analysis_fingerprint(config)
        _analyse(run, analysis, listing.files, config, fingerprint, engine)
        _label(run, analysis, labels, config, fingerprint, refit, engine)
    _select(run, config, refit, started)


def select_again(run_uri: str, overrides: list[str], refit: bool = False) -> None:
    """Apply changed thresholds to a finished run. Opens no video."""
    started = time.monotonic()
    run = open_run(run_uri)
    stored = yaml.safe_load(run.read_bytes("run.yaml"))
    config = override_config(stored["config"], overrides, f"{run.path('run.yaml')} with --set")
    _write_run_file(run, stored["input"], config)
    _select(run, config, refit, started)


def analysis_fingerprint(config: RunConfig) -> str:
    """Changes when anything does that the analysis pass depends on."""
    parts = (config.decode, config.shots, config.clips, config.image_scores, config.camera, config.start_frames)
    return "-".join(("a" + CONTRACT_VERSION, ids.digest(str(config.seed), *(part.fingerprint() for part in parts))))


def label_fingerprint(config: RunConfig, analysis: str) -> str:
    """Changes when anything does that the labelling pass depends on, what it is built on included."""
    parts = (
        *(config.objects, config.query_points, config.tracking, config.tracks, config.events),
        *(config.region_boxes, config.region_events, config.identity, config.captions),
    )
    return "-".join(("l" + CONTRACT_VERSION, ids.digest(analysis, *(part.fingerprint() for part in parts))))


@dataclass(frozen=True)
class WorkerSpec:
    """A worker as it travels to other processes: built there once, from values only."""

    pass_name: str
    run: str
    config: str
    fingerprint: str
    own_process: bool

    def __call__(self) -> ShardWorker:
        worker = {analyse.PASS: analyse.Analyser, label.PASS: label.Labeller}[self.pass_name]
        config = RunConfig.model_validate_json(self.config)
        return worker(RunFolder(self.run), config, self.fingerprint, self.own_process)


def _run_pass(
    engine: Engine, run: RunFolder, config: RunConfig, pass_name: str, items: Sequence[Item], fingerprint: str
) -> int:
    """Process videos; returns how many."""
    own_process = config.engine.name == "ray"
    spec = WorkerSpec(pass_name, run.uri, config.model_dump_json(), fingerprint, own_process)
    return engine.run(pass_name, items, spec, "videos", asked_gpus(config, pass_name))


def _analyse(
    run: RunFolder, ledger: Ledger, files: list[SourceFile], config: RunConfig, fingerprint: str, engine: Engine
) -> int:
    """Analyse every file that was not analysed with this config, or that changed since."""
    items = {}
    for file in files:
        item = Item(ids.video_id(file.relative_path), file.uri, file.relative_path, file.bytes)
        items[item.item_id] = item
    redo = []
    done: set[str] = set()
    admitted = _admitted_now(run, config)
    for shard, rows in ledger.entries().items():
        for row in rows:
            item = items.get(row["item_id"])
            if item and item.uri != row["uri"]:
                raise UsageError(
                    f"{run.uri}: was made from {row['uri']}, and the input now has another file of that name at "
                    f"{item.uri}; give another --output"
                )
        if any(_stale(row, items.get(row["item_id"]), fingerprint, admitted) for row in rows):
            redo.append(shard)
        else:
            done |= {row["item_id"] for row in rows}
    ledger.retire(redo)
    pending = [item for name, item in sorted(items.items()) if name not in done]
    return _run_pass(engine, run, config, analyse.PASS, pending, fingerprint)


def _stale(row: dict[str, Any], item: Item | None, fingerprint: str, admitted: set[str]) -> bool:
    """Whether a committed item must be analysed again; files that are no longer in the input stay as they are."""
    if item is None:
        return False
    if row["bytes"] != item.bytes or row["fingerprint"] != fingerprint or row.get("model_error"):
        return True
    return row["state"] == "skipped" and row["item_id"] in admitted


def _admitted_now(run: RunFolder, config: RunConfig) -> set[str]:
    """Videos whose size passes the rules as they are now: those skipped by earlier, stricter ones come back."""
    videos = run.read("videos", ["video_id", "width", "height", "pixel_aspect"]).to_pylist()
    return {
        video["video_id"]
        for video in videos
        if video["width"] and not drops_size(config.rules, video["width"], video["height"], video["pixel_aspect"])
    }


def _label(
    run: RunFolder,
    analysis: Ledger,
    ledger: Ledger,
    config: RunConfig,
    analysis_print: str,
    refit: bool,
    engine: Engine,
) -> int:
    """Label the clips that the rules keep now and that were not labelled before with this config."""
    fingerprint = label_fingerprint(config, analysis_print)
    wanted = kept_clips(run, config, refit=refit)
    sources = {row["item_id"]: (shard, row) for shard, rows in analysis.entries().items() for row in rows}
    redo = []
    done: set[str] = set()
    for shard, rows in ledger.entries().items():
        missing = any(set(wanted.get(row["item_id"], ())) - set(row["clips"]) for row in rows)
        stale = any(
            row["fingerprint"] != fingerprint
            or row["bytes"] != sources[row["item_id"]][1]["bytes"]
            or row.get("model_error")
            for row in rows
        )
        if missing or stale:
            redo.append(shard)
        else:
            done |= {row["item_id"] for row in rows}
    ledger.retire(redo)
    pending = []
    for name in sorted(wanted.keys() - done):
        shard, row = sources[name]
        pending.append(Item(name, row["uri"], "", row["bytes"], tuple(wanted[name]), shard))
    return _run_pass(engine, run, config, label.PASS, pending, fingerprint)


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
        try:
            run.write_bytes("run.yaml", yaml.safe_dump(content, sort_keys=False).encode())
        except OSError as error:
            raise UsageError(f"{run.uri}: cannot write there ({error}); name another --output") from None


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
