"""Verdicts: what became of every item, and why.

Three steps, all lazy polars without a Python loop over rows. `judge` holds items to the rules of their level;
`judge_run` does so for a whole run, where an item falls with its parent; `finish_verdicts` knows the samples that
came out and turns the rest away, so that exactly what reaches samples is kept and every item has one verdict.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from curation.contract.schemas import SCHEMAS
from curation.selection.measures import Manifests, measures
from curation.selection.rules import LEVELS, Level, Rule, RulesConfig, rules_of
from curation.selection.thresholds import Threshold, Thresholds, fit_thresholds

KEPT = "kept"
COLUMNS = SCHEMAS["verdicts"].names
_AGAIN = "run `python -m curation run` again"
_PARENT: dict[Level, Level] = {"clip": "video", "object": "clip"}


@dataclass(frozen=True)
class _Breach:
    """One way to break a rule. The measured value stands between `before` and `after` in the reason."""

    rule: Rule
    breaks: pl.Expr
    threshold: float | None
    after: str


def judge(level: Level, frame: pl.LazyFrame, rules: Sequence[Rule], thresholds: Thresholds) -> pl.LazyFrame:
    """Hold every item to its level's rules; the first one that it breaks decides.

    Args:
        frame: `curation.selection.measures.measures` of the level.
        rules: `curation.selection.rules.rules_of` the level.
        thresholds: of these rules, by `fit_thresholds`.

    Returns:
        The frame with the verdicts' columns level, stage, rule, kept, value, threshold and reason added. A null score
        breaks no rule (its scorer is not part of this preset), NaN breaks every rule on its column.
    """
    breaches = [breach for rule in rules for breach in _breaches(rule, thresholds)]
    # Position of the first breach; null for items that pass.
    first = pl.coalesce(
        [pl.when(breach.breaks.fill_null(False)).then(pl.lit(i, pl.Int32)) for i, breach in enumerate(breaches)]
        or [pl.lit(None, pl.Int32)]
    )
    table = pl.LazyFrame(
        {
            "_breach": range(len(breaches)),
            "stage": [breach.rule.stage for breach in breaches],
            "rule": [breach.rule.name for breach in breaches],
            "threshold": [breach.threshold for breach in breaches],
            "_before": [f"{breach.rule.noun}: " for breach in breaches],
            "_after": [breach.after for breach in breaches],
            "_percent": [breach.rule.unit == "%" for breach in breaches],
        },
        schema={
            "_breach": pl.Int32,
            "stage": pl.String,
            "rule": pl.String,
            "threshold": pl.Float64,
            "_before": pl.String,
            "_after": pl.String,
            "_percent": pl.Boolean,
        },
    )
    numeric = {i: pl.col(breach.rule.column) for i, breach in enumerate(breaches) if breach.rule.bounds is not None}
    texts = {i: pl.col(breach.rule.column) for i, breach in enumerate(breaches) if breach.rule.bounds is None}
    shown = _number(pl.when(pl.col("_percent")).then(pl.col("value") * 100).otherwise(pl.col("value")))
    said = pl.coalesce(_picked(texts, pl.String), shown)
    return (
        frame.with_columns(first.alias("_breach"))
        .join(table, on="_breach", how="left", maintain_order="left")
        .with_columns(_picked(numeric, pl.Float64).alias("value"), pl.lit(level).alias("level"))
        .with_columns(
            pl.col("_breach").is_null().alias("kept"),
            pl.col("rule").fill_null(KEPT),
            pl.concat_str("_before", said, "_after").alias("reason"),
        )
        .drop("_breach", "_before", "_after", "_percent")
    )


def judge_run(
    manifests: Manifests, config: RulesConfig, stored: Thresholds, refit: bool = False, levels: Sequence[Level] = LEVELS
) -> tuple[dict[Level, pl.LazyFrame], Thresholds]:
    """Judge the levels of a run from the top: an item whose parent was dropped is dropped by `video` or `clip`.

    Before labelling, ask for the levels ("video", "clip"): the clips that are kept are those to label.

    Args:
        manifests: videos and clips; for objects also objects and tracks.
        stored: see `curation.selection.thresholds.read_thresholds`.

    Returns:
        (level -> judged items as from `judge`, with item_id and parent_id; all thresholds in force, for
        `write_thresholds`: those of levels that were not asked for are the stored ones).
    """
    judged: dict[Level, pl.LazyFrame] = {}
    thresholds = dict(stored)
    for level in levels:
        rules = rules_of(level, config)
        facts = measures(level, manifests)
        of_level = fit_thresholds(rules, facts, stored, refit)
        kept_names = {name: known for name, known in thresholds.items() if known.level != level}
        thresholds = kept_names | of_level
        judged[level] = judge(level, facts, rules, of_level)
        if level in _PARENT and _PARENT[level] in judged:
            judged[level] = _fall_with_parent(judged[level], judged[_PARENT[level]], _PARENT[level])
    return judged, thresholds


def judge_early(manifests: Manifests, config: RulesConfig) -> pl.LazyFrame:
    """Hold clips to the absolute rules that need no picture, as `wants_scores` does one by one: item_id, parent_id,
    kept."""
    judged: dict[Level, pl.LazyFrame] = {}
    for level in ("video", "clip"):
        rules = [rule for rule in rules_of(level, config) if rule.early]
        limits = {
            rule.name: Threshold(
                level=level,
                column=rule.column,
                min=rule.bounds.min,
                max=rule.bounds.max,
                source="absolute",
                config=rule.bounds,
            )
            for rule in rules
            if rule.bounds is not None
        }
        judged[level] = judge(level, measures(level, manifests), rules, limits)
    clips = _fall_with_parent(judged["clip"], judged["video"], "video")
    return clips.select("item_id", "parent_id", "kept")


def finish_verdicts(
    judged: Mapping[Level, pl.LazyFrame],
    manifests: Manifests,
    samples: pl.LazyFrame,
    labelled: pl.LazyFrame,
    failed: pl.LazyFrame,
    drops: pa.Table | None = None,
) -> pa.Table:
    """One verdict per video, clip, object and sample. Kept is what reaches samples.

    What passes its own rules but reaches none is dropped by: `not_analysed` or `not_labelled` (looser thresholds let
    it through only now, the next run goes on with it), `failed` (labelling it ended in an error), or `no_clip`,
    `no_object`, `no_sample` (nothing below it was kept).

    Args:
        judged: all levels of `judge_run`.
        manifests: the same as given there, and shots.
        samples: the samples manifest.
        labelled: column clip_id: the clips that went through labelling.
        failed: columns clip_id, error: the clips on which labelling failed.
        drops: verdicts that building the samples gave: on candidates that became none, and on objects that are part
            of none, which then stand instead of `no_sample`.

    Returns:
        The verdicts manifest: videos, clips, objects, samples, each sorted by item_id.
    """
    in_samples = samples.select("sample_id", "clip_id", "video_id")
    used = samples.select(pl.col("objects").list.eval(pl.element().struct.field("object_id")).alias("item_id"))
    dropped = pl.LazyFrame(pl.DataFrame(SCHEMAS["verdicts"].empty_table() if drops is None else drops))
    of_objects = _object_explanations(judged["object"], dropped)
    objects = _reach(judged["object"], used.explode("item_id"), of_objects)
    of_clips = _clip_explanations(judged["clip"], objects, labelled, failed)
    clips = _reach(judged["clip"], in_samples.select(item_id="clip_id"), of_clips)
    of_videos = _video_explanations(judged["video"], clips, manifests["shots"])
    videos = _reach(judged["video"], in_samples.select(item_id="video_id"), of_videos)
    all_samples = pl.concat([_sample_verdicts(in_samples), dropped.filter(pl.col("level") == "sample")])
    levels = [_finished(frame) for frame in (videos, clips, objects, all_samples)]
    frames = pl.collect_all([frame.sort("item_id") for frame in levels])
    return pl.concat(frames).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(SCHEMAS["verdicts"])


def _breaches(rule: Rule, thresholds: Thresholds) -> list[_Breach]:
    column = pl.col(rule.column)
    if rule.allowed is not None:
        return [_Breach(rule, ~column.is_in(rule.allowed), None, f", allowed: {', '.join(rule.allowed)}")]
    if rule.bounds is None:
        return [_Breach(rule, column.is_not_null(), None, "")]
    threshold = thresholds[rule.name]
    low, high = threshold.min, threshold.max
    breaches = (
        [] if (low, high) == (None, None) else [_Breach(rule, column.is_nan(), None, ", which is no measurement")]
    )
    if low is not None:
        breaches.append(_Breach(rule, column < low, low, _bound(rule, "lowest", "under", "at least", low)))
    if high is not None:
        breaches.append(_Breach(rule, column > high, high, _bound(rule, "highest", "over", "at most", high)))
    return breaches


def _bound(rule: Rule, end: str, beyond: str, absolute: str, limit: float) -> str:
    """The part of a reason after the measured value."""
    assert rule.bounds is not None
    text = f"{limit * 100:.4g}%" if rule.unit == "%" else f"{limit:.4g}{rule.unit}"
    share = rule.bounds.drop_lowest if end == "lowest" else rule.bounds.drop_highest
    if share is not None:
        return f"{rule.unit}, among the {end} {share * 100:g}% ({beyond} {text})"
    return f"{rule.unit}, {absolute} {text} {'needed' if absolute == 'at least' else 'allowed'}"


def _number(value: pl.Expr) -> pl.Expr:
    return value.round_sig_figs(4).cast(pl.String).str.strip_suffix(".0")


def _text(*parts: str | pl.Expr) -> pl.Expr:
    """The parts in a row; null where one is. `pl.format` panics now and then under load (polars issue 25525)."""
    return pl.concat_str([pl.lit(part) if isinstance(part, str) else part for part in parts])


def _picked(columns: dict[int, pl.Expr], kind: type[pl.DataType]) -> pl.Expr:
    """The column that belongs to each row's breach; null where the breach has none."""
    chosen = [pl.when(pl.col("_breach") == i).then(column.cast(kind)) for i, column in columns.items()]
    return pl.coalesce(chosen) if chosen else pl.lit(None, kind)


def _fall_with_parent(frame: pl.LazyFrame, parents: pl.LazyFrame, parent_level: Level) -> pl.LazyFrame:
    dropped = parents.filter(~pl.col("kept")).select(
        parent_id="item_id",
        _stage="stage",
        _reason=_text(f"its {parent_level} was dropped by ", pl.col("rule"), ": ", pl.col("reason")),
    )
    joined = frame.join(dropped, on="parent_id", how="left", maintain_order="left", validate="m:1")
    return _drop(joined, {"rule": pl.lit(parent_level), "stage": pl.col("_stage"), "reason": pl.col("_reason")})


def _drop(frame: pl.LazyFrame, because: Mapping[str, pl.Expr]) -> pl.LazyFrame:
    """Drop the rows whose `reason` expression is not null; columns whose names begin with "_" go.

    What `because` does not say of `value` and `threshold` becomes null.
    """
    fallen = because["reason"].is_not_null()
    unmeasured = {"value": pl.lit(None, pl.Float64), "threshold": pl.lit(None, pl.Float64)}
    changed = [
        pl.when(fallen).then(expression).otherwise(pl.col(name)).alias(name)
        for name, expression in (unmeasured | dict(because)).items()
    ]
    kept = (pl.col("kept") & ~fallen).alias("kept")
    return frame.with_columns(*changed, kept).select(pl.exclude("^_.*$"))


def _reach(frame: pl.LazyFrame, reached: pl.LazyFrame, explanations: pl.LazyFrame) -> pl.LazyFrame:
    """Drop what passed the rules but is not among `reached` (column item_id).

    Args:
        explanations: for every item why, if so: item_id, and columns of verdicts with "_" before their names.
    """
    found = reached.unique().with_columns(_reached=pl.lit(True))
    frame = frame.join(found, on="item_id", how="left", maintain_order="left")
    frame = frame.join(explanations, on="item_id", how="left", maintain_order="left", validate="m:1")
    stranded = pl.col("kept") & pl.col("_reached").is_null()
    because = {name[1:]: pl.col(name) for name in explanations.collect_schema().names() if name != "item_id"}
    return _drop(frame, because | {"reason": pl.when(stranded).then(because["reason"])})


def _object_explanations(objects: pl.LazyFrame, dropped: pl.LazyFrame) -> pl.LazyFrame:
    because = dropped.filter(pl.col("level") == "object").select("item_id", pl.exclude("item_id").name.prefix("_"))
    return (
        objects.select("item_id")
        .join(because, on="item_id", how="left", validate="m:1")
        .select(
            "item_id",
            pl.col("_rule").fill_null("no_sample"),
            pl.col("_stage").fill_null("samples"),
            pl.col("_reason").fill_null("none of its start frames made a sample"),
            "_value",
            "_threshold",
        )
    )


def _clip_explanations(
    clips: pl.LazyFrame, objects: pl.LazyFrame, labelled: pl.LazyFrame, failed: pl.LazyFrame
) -> pl.LazyFrame:
    done = labelled.select(item_id="clip_id", _done=pl.lit(True)).unique()
    errors = failed.select(item_id="clip_id", _error="error")
    frame = clips.select("item_id").join(_losses(objects, "object"), on="item_id", how="left", validate="m:1")
    frame = frame.join(done, on="item_id", how="left").join(errors, on="item_id", how="left", validate="m:1")
    error, is_done = pl.col("_error"), pl.col("_done").is_not_null()
    return frame.select(
        "item_id",
        pl.when(error.is_not_null())
        .then(pl.lit("failed"))
        .when(is_done)
        .then(pl.lit("no_object"))
        .otherwise(pl.lit("not_labelled"))
        .alias("_rule"),
        pl.when(error.is_null() & is_done).then(pl.lit("objects")).otherwise(pl.lit("label")).alias("_stage"),
        pl.when(error.is_not_null())
        .then(_text("labelling failed: ", error))
        .when(is_done)
        .then(pl.coalesce("_losses", pl.lit("no object was found in it")))
        .otherwise(pl.lit(f"kept now but not labelled yet: {_AGAIN}"))
        .alias("_reason"),
    )


def _video_explanations(videos: pl.LazyFrame, clips: pl.LazyFrame, shots: pl.LazyFrame) -> pl.LazyFrame:
    analysed = shots.select(item_id="video_id", _done=pl.lit(True)).unique()
    frame = videos.select("item_id").join(_losses(clips, "clip"), on="item_id", how="left", validate="m:1")
    frame = frame.join(analysed, on="item_id", how="left")
    is_done = pl.col("_done").is_not_null()
    return frame.select(
        "item_id",
        pl.when(is_done).then(pl.lit("no_clip")).otherwise(pl.lit("not_analysed")).alias("_rule"),
        pl.when(is_done).then(pl.lit("clips")).otherwise(pl.lit("analyse")).alias("_stage"),
        pl.when(is_done)
        .then(pl.coalesce("_losses", pl.lit("none of its shots made a clip")))
        .otherwise(pl.lit(f"kept now but not analysed yet: {_AGAIN}"))
        .alias("_reason"),
    )


def _losses(children: pl.LazyFrame, noun: str) -> pl.LazyFrame:
    """item_id of each parent, and in _losses how its children were dropped: '... : 2 speed, 1 no_sample'."""
    by_rule = children.filter(~pl.col("kept")).group_by("parent_id", "rule").agg(count=pl.len())
    by_rule = by_rule.sort(["count", "rule"], descending=[True, False])
    counts = by_rule.group_by("parent_id", maintain_order=True).agg(
        total=pl.col("count").sum(),
        first=pl.col("rule").first(),
        losses=_text(pl.col("count"), " ", pl.col("rule")).str.join(", "),
    )
    many = _text("all ", pl.col("total"), f" {noun}s were dropped: ", pl.col("losses"))
    one = _text(f"its only {noun} was dropped: ", pl.col("first"))
    return counts.select(item_id="parent_id", _losses=pl.when(pl.col("total") == 1).then(one).otherwise(many))


def _sample_verdicts(samples: pl.LazyFrame) -> pl.LazyFrame:
    return samples.select(
        item_id="sample_id",
        level=pl.lit("sample"),
        stage=pl.lit("samples"),
        rule=pl.lit(KEPT),
        kept=pl.lit(True),
        value=pl.lit(None, pl.Float64),
        threshold=pl.lit(None, pl.Float64),
        reason=pl.lit(None, pl.String),
    )


def _finished(frame: pl.LazyFrame) -> pl.LazyFrame:
    reason = pl.when(pl.col("kept")).then(pl.lit("reaches samples")).otherwise(pl.col("reason"))
    stage = pl.when(pl.col("kept")).then(pl.lit("samples")).otherwise(pl.col("stage"))
    return frame.with_columns(reason.alias("reason"), stage.alias("stage")).select(COLUMNS)
