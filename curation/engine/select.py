"""Selection over a run folder: which clips to label and, once labelled, the manifests clips, samples and verdicts.

Reads scores and labels, never a video. Works shard by shard where rows are heavy, so memory does not grow with the run.
"""

import hashlib

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from curation.config import RunConfig
from curation.contract.manifest import RunFolder
from curation.contract.schemas import SCHEMAS
from curation.contract.tables import table
from curation.engine import analyse, label
from curation.engine.ledger import Ledger
from curation.engine.shards import BAD
from curation.selection.rules import Level
from curation.selection.samples import build_samples
from curation.selection.thresholds import read_thresholds, write_thresholds
from curation.selection.verdicts import finish_verdicts, judge_run

_HASHED_AT_ONCE = 10_000
_NONE = pa.array([], pa.string())


def kept_clips(run: RunFolder, config: RunConfig, refit: bool) -> pl.DataFrame:
    """The clips that pass the rules so far and so are worth labelling: item_id of the video, clips in order."""
    manifests = {"videos": run.scan("videos"), "clips": run.scan(analyse.SCORED_CLIPS, SCHEMAS["clips"])}
    judged, thresholds = judge_run(manifests, config.rules, read_thresholds(run), refit, levels=("video", "clip"))
    write_thresholds(run, thresholds)
    kept = judged["clip"].filter("kept").select("parent_id", "item_id").sort("item_id")
    return kept.group_by("parent_id").agg("item_id").rename({"item_id": "clips", "parent_id": "item_id"}).collect()


def selection_fingerprint(run: RunFolder, config: RunConfig) -> str:
    """Changes when any input of `select` does."""
    parts = (config.rules, config.samples, config.split)
    digest = hashlib.sha256(" ".join([str(config.seed), *(part.fingerprint() for part in parts)]).encode())
    columns = ["item_id", "bytes", "fingerprint", "state", "clips", "clip_errors"]
    for name, datasets in ((analyse.PASS, analyse.DATASETS), (label.PASS, label.DATASETS)):
        errors = pl.col("clip_errors").list.eval(pl.element().struct.field("value")).list.join(" ")
        rows = Ledger(run, name, datasets).frame(columns).sort("item_id")
        lines = rows.select(
            pl.concat_str(*columns[:4], pl.col("clips").list.join(" "), errors, separator="\t", ignore_nulls=True)
        )
        for part in lines.iter_slices(_HASHED_AT_ONCE):
            digest.update("\n".join(part.to_series()).encode())
    return digest.hexdigest()[:12]


def select(run: RunFolder, config: RunConfig, refit: bool) -> None:
    """Write clips, samples and verdicts from what the passes committed."""
    labels = Ledger(run, label.PASS, label.DATASETS)
    outcomes = labels.frame(["item_id", "state", "detail", "clips", "clip_errors"])
    homes = Ledger(run, analyse.PASS, analyse.DATASETS).frame(["item_id"]).rename({"shard": "analysis_shard"})
    places = outcomes.select("item_id", "shard").join(homes, on="item_id")
    _write_clips(run, places)
    manifests = {name: run.scan(name) for name in ("videos", "shots", "clips", "objects", "tracks")}
    judged, thresholds = judge_run(manifests, config.rules, read_thresholds(run), refit)
    write_thresholds(run, thresholds)
    drops = _write_samples(run, config, places, _kept_by_shard(judged, places))

    labelled = outcomes.lazy().select(pl.col("clips").explode().alias("clip_id")).drop_nulls()
    samples = run.scan("samples")
    verdicts = finish_verdicts(judged, manifests, samples, labelled, _clip_errors(outcomes), table("verdicts", drops))
    run.write_shard("verdicts", "verdicts", verdicts)


def _clip_errors(outcomes: pl.DataFrame) -> pl.LazyFrame:
    """Errors by clip: clip_id, error. A failed video's error goes for all of its clips."""
    whole = outcomes.lazy().filter(pl.col("state").is_in(BAD))
    single = outcomes.lazy().select(pl.col("clip_errors").explode()).drop_nulls()
    fields = pl.col("clip_errors").struct
    return pl.concat(
        [
            whole.select(pl.col("clips").alias("clip_id"), pl.col("detail").alias("error")).explode("clip_id"),
            single.select(fields.field("key").alias("clip_id"), fields.field("value").alias("error")),
        ]
    )


def _write_clips(run: RunFolder, places: pl.DataFrame) -> None:
    """`clips`: the scored clips, with what labelling adds where they were labelled. One file per analysis shard."""
    sources = dict(places.group_by("analysis_shard").agg(pl.col("shard").unique().sort()).iter_rows())
    shards = run.shards(analyse.SCORED_CLIPS)
    for shard in shards:
        scored = run.read_shard(analyse.SCORED_CLIPS, shard)
        labelled = [run.read_shard(label.LABELLED_CLIPS, source) for source in sources.get(shard, ())]
        run.write_shard("clips", shard, _with_labels(scored, labelled))
    _drop_others(run, "clips", shards)


def _with_labels(scored: pa.Table, labelled: list[pa.Table]) -> pa.Table:
    """`scored`, the columns of labelling filled in for the rows that also stand in `labelled`, by clip_id."""
    if not labelled or not scored.num_rows:
        return scored
    rows = pa.concat_tables(labelled)
    at = pc.index_in(scored["clip_id"], rows["clip_id"])  # pyright: ignore[reportAttributeAccessIssue]
    return label.with_labels(scored, rows.take(at))


def _kept_by_shard(judged: dict[Level, pl.LazyFrame], places: pl.DataFrame) -> dict[str, list[pa.Array]]:
    """Labelling shard -> ids of its kept clips and of its kept objects. Split once, or each shard would be looked up
    among all."""
    clips = judged["clip"].filter("kept").select("item_id", video_id="parent_id")
    videos = clips.rename({"item_id": "clip_id"})
    objects = judged["object"].filter("kept").select("item_id", clip_id="parent_id").join(videos, on="clip_id")
    result: dict[str, list[pa.Array]] = {}
    homes = places.lazy().select("shard", video_id="item_id")
    for at, kept in enumerate((clips, objects)):
        parts = kept.join(homes, on="video_id").select("shard", "item_id").collect().partition_by("shard", as_dict=True)
        for (shard,), rows in parts.items():
            result.setdefault(str(shard), [_NONE, _NONE])[at] = (
                rows["item_id"].cast(pl.String).to_arrow().cast(pa.string())
            )
    return result


def _write_samples(
    run: RunFolder, config: RunConfig, places: pl.DataFrame, kept: dict[str, list[pa.Array]]
) -> list[dict]:
    """`samples`, from the kept objects of the kept clips; a file per labelling shard. Returns verdicts on the rest."""
    drops = []
    shards = dict(
        places.group_by("shard", maintain_order=True).agg(pl.col("analysis_shard").unique().sort()).iter_rows()
    )
    for shard, sources in sorted(shards.items()):
        clips, objects = kept.get(shard, [_NONE, _NONE])
        videos = pa.concat_tables([run.read_shard("videos", source) for source in sources])
        scored = pa.concat_tables([run.read_shard("clips", source) for source in sources])
        samples, verdicts = build_samples(
            videos,
            _only(scored, "clip_id", clips),
            _only(run.read_shard("objects", shard), "object_id", objects),
            _only(run.read_shard("tracks", shard), "object_id", objects),
            _only(run.read_shard("events", shard), "object_id", objects),
            config.samples,
            config.split,
            config.seed,
        )
        run.write_shard("samples", shard, samples)
        drops += verdicts
    _drop_others(run, "samples", list(shards))
    return drops


def _only(data: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return data.filter(pc.field(column).isin(values))


def _drop_others(run: RunFolder, dataset: str, shards: list[str]) -> None:
    """Remove files of shards that were retired since."""
    for name in set(run.shards(dataset)) - set(shards):
        run.delete(f"{dataset}/{name}.parquet")
