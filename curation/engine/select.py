"""Selection over a run folder: which clips to label and, once labelled, the manifests clips, samples and verdicts.

Reads scores and labels, never a video. Works shard by shard where rows are heavy, so memory does not grow with the run.
"""

from collections import defaultdict
from collections.abc import Collection
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from curation.config import RunConfig
from curation.contract import ids
from curation.contract.manifest import RunFolder, scan_manifest
from curation.contract.schemas import SCHEMAS
from curation.contract.tables import table
from curation.engine import analyse, label
from curation.engine.ledger import Ledger
from curation.selection.samples import build_samples
from curation.selection.thresholds import read_thresholds, write_thresholds
from curation.selection.verdicts import finish_verdicts, judge_run


def kept_clips(run: RunFolder, config: RunConfig, refit: bool) -> dict[str, list[str]]:
    """The clips that pass the rules so far, by video, and so are worth labelling."""
    manifests = {"videos": scan_manifest(run.uri, "videos"), "clips": _scored_clips(run)}
    judged, thresholds = judge_run(manifests, config.rules, read_thresholds(run), refit, levels=("video", "clip"))
    write_thresholds(run, thresholds)
    kept = judged["clip"].filter("kept").select("parent_id", "item_id").sort("item_id").collect()
    clips: dict[str, list[str]] = defaultdict(list)
    for video, clip in kept.iter_rows():
        clips[video].append(clip)
    return dict(clips)


def selection_fingerprint(run: RunFolder, config: RunConfig) -> str:
    """Changes when any input of `select` does."""
    committed = [
        f"{row['item_id']} {row['bytes']} {row['fingerprint']} {row['state']} {row['clips']} {row['clip_errors']}"
        for name, datasets in ((analyse.PASS, analyse.DATASETS), (label.PASS, label.DATASETS))
        for rows in Ledger(run, name, datasets).entries().values()
        for row in rows
    ]
    parts = (config.rules, config.samples, config.split)
    return ids.digest(str(config.seed), *(part.fingerprint() for part in parts), *sorted(committed))


def select(run: RunFolder, config: RunConfig, refit: bool) -> None:
    """Write clips, samples and verdicts from what the passes committed."""
    labels = Ledger(run, label.PASS, label.DATASETS).entries()
    _write_clips(run, labels)
    manifests = {name: scan_manifest(run.uri, name) for name in ("videos", "shots", "clips", "objects", "tracks")}
    judged, thresholds = judge_run(manifests, config.rules, read_thresholds(run), refit)
    write_thresholds(run, thresholds)
    kept = {level: set(frame.filter("kept").select("item_id").collect()["item_id"]) for level, frame in judged.items()}
    drops = _write_samples(run, config, labels, kept["clip"], kept["object"])

    outcomes = [row for rows in labels.values() for row in rows]
    failures = [(clip, error) for row in outcomes for clip, error in _clip_errors(row).items()]
    labelled = pl.LazyFrame(
        {"clip_id": [clip for row in outcomes for clip in row["clips"]]}, schema={"clip_id": pl.String}
    )
    failed = pl.LazyFrame(failures, schema={"clip_id": pl.String, "error": pl.String}, orient="row")
    samples = scan_manifest(run.uri, "samples")
    verdicts = finish_verdicts(judged, manifests, samples, labelled, failed, table("verdicts", drops))
    run.write_shard("verdicts", "verdicts", verdicts)


def _clip_errors(row: dict[str, Any]) -> dict[str, str]:
    """Errors by clip; a failed video's error goes for all of its clips."""
    if row["state"] == "failed":
        return dict.fromkeys(row["clips"], str(row["detail"]))
    return row["clip_errors"]


def _scored_clips(run: RunFolder) -> pl.LazyFrame:
    if not run.shards(analyse.SCORED_CLIPS):
        return pl.LazyFrame(pl.from_arrow(SCHEMAS["clips"].empty_table()))
    return pl.scan_parquet(run.path(f"{analyse.SCORED_CLIPS}/*.parquet"))


def _write_clips(run: RunFolder, labels: dict[str, list[dict]]) -> None:
    """`clips`: the scored clips, in their labelled form where there is one. One file per analysis shard."""
    label_shards = {row["item_id"]: shard for shard, rows in labels.items() for row in rows}
    shards = run.shards(analyse.SCORED_CLIPS)
    for shard in shards:
        scored = run.read_shard(analyse.SCORED_CLIPS, shard)
        sources = sorted({label_shards[video] for video in scored["video_id"].to_pylist() if video in label_shards})
        labelled = [run.read_shard(label.LABELLED_CLIPS, source) for source in sources]
        run.write_shard("clips", shard, _replace_rows(scored, labelled))
    _drop_others(run, "clips", shards)


def _replace_rows(scored: pa.Table, labelled: list[pa.Table]) -> pa.Table:
    """`scored` with the rows that also stand in `labelled`, by clip_id, taken from there."""
    rows = {clip: (part, i) for part in labelled for i, clip in enumerate(part["clip_id"].to_pylist())}
    picked = []
    for i, clip in enumerate(scored["clip_id"].to_pylist()):
        source, at = rows.get(clip, (scored, i))
        picked.append(source.slice(at, 1))
    return pa.concat_tables(picked).combine_chunks() if picked else scored


def _write_samples(
    run: RunFolder, config: RunConfig, labels: dict[str, list[dict]], clips: set[str], objects: set[str]
) -> list[dict]:
    """`samples`, from the kept objects of the kept clips; a file per labelling shard. Returns verdicts on the rest."""
    videos = run.read("videos")
    drops = []
    for shard in labels:
        own = {row["item_id"] for row in labels[shard]}
        samples, verdicts = build_samples(
            _only(videos, "video_id", own),
            _only(run.read_shard(label.LABELLED_CLIPS, shard), "clip_id", clips),
            _only(run.read_shard("objects", shard), "object_id", objects),
            _only(run.read_shard("tracks", shard), "object_id", objects),
            _only(run.read_shard("events", shard), "object_id", objects),
            config.samples,
            config.split,
            config.seed,
        )
        run.write_shard("samples", shard, samples)
        drops += verdicts
    _drop_others(run, "samples", list(labels))
    return drops


def _only(data: pa.Table, column: str, values: Collection[str]) -> pa.Table:
    return data.filter(pc.field(column).isin(pa.array(sorted(values), pa.string())))


def _drop_others(run: RunFolder, dataset: str, shards: list[str]) -> None:
    """Remove files of shards that were retired since."""
    for name in set(run.shards(dataset)) - set(shards):
        run.delete(f"{dataset}/{name}.parquet")
