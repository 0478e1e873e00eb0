"""The numbers that rules hold items to. Rank thresholds are fitted once per run and then stand.

`RUN/thresholds.yaml` records them, so that files added later are judged as the earlier ones were.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Literal

import polars as pl
import yaml

from curation.contract.config import Config, parse_config
from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder
from curation.selection.rules import Bounds, Level, Rule, RulesConfig

FILE = "thresholds.yaml"


class Threshold(Config):
    """What one numeric rule asks for.

    Attributes:
        min, max: inclusive limits in force; null for none.
        source: rank when one of them was fitted to the run's scores.
        fitted_on: how many scores it was fitted to; null for absolute limits.
        config: the rule's setting behind it.
    """

    level: Level
    column: str
    min: float | None
    max: float | None
    source: Literal["absolute", "rank"]
    fitted_on: int | None = None
    config: Bounds

    @property
    def fitted(self) -> bool:
        return bool(self.fitted_on)


Thresholds = dict[str, Threshold]
"""Rule name to threshold."""


def fit_thresholds(
    rules: Iterable[Rule], scores: pl.LazyFrame, stored: Mapping[str, Threshold], refit: bool = False
) -> Thresholds:
    """Thresholds of the numeric rules of one level.

    A stored rank threshold is reused as long as the rule's setting is the one that it was fitted for. Otherwise it is
    fitted over all rows of the level that have a finite score, whatever other rules say of them: of n sorted scores
    `drop_lowest` = q puts `min` at position floor(q n) counted from 0, so that floor(q n) rows fall below it, and fewer
    when scores are tied, for equal scores share their fate. `drop_highest` mirrors this. A rule without a single score
    to fit stays without limits and is fitted by the next call that has some.

    Args:
        scores: `curation.selection.measures.measures` of the level.
        stored: thresholds of earlier calls, see `read_thresholds`.
        refit: fit again even so.
    """
    result: Thresholds = {}
    to_fit: list[Rule] = []
    for rule in rules:
        if rule.bounds is None:
            continue
        known = stored.get(rule.name)
        if not rule.bounds.by_rank:
            result[rule.name] = _threshold(rule, rule.bounds.min, rule.bounds.max)
        elif known is not None and known.fitted and _same(known, rule) and not refit:
            result[rule.name] = known
        else:
            to_fit.append(rule)
    # All columns in one pass over the manifests.
    values = scores.select({rule.column for rule in to_fit}).collect() if to_fit else pl.DataFrame()
    return result | {rule.name: _fit(rule, values[rule.column]) for rule in to_fit}


def rank_limits(
    scores: pl.Series, drop_lowest: float | None, drop_highest: float | None
) -> tuple[float | None, float | None]:
    """(min, max) that drop these shares of the scores, as `fit_thresholds` explains; the scores must be finite."""
    ordered = scores.sort()
    count = len(ordered)

    def dropped(share: float) -> int:
        # The small term undoes binary fractions: .29 * 100 is 28.999999999999996.
        return min(count - 1, math.floor(share * count + 1e-9))

    low = None if drop_lowest is None or not count else float(ordered[dropped(drop_lowest)])
    high = None if drop_highest is None or not count else float(ordered[count - 1 - dropped(drop_highest)])
    return low, high


def read_thresholds(run: RunFolder) -> Thresholds:
    """What `RUN/thresholds.yaml` holds; empty when there is none.

    Raises:
        UsageError: the file was edited into something else.
    """
    if not run.exists(FILE):
        return {}
    try:
        data = yaml.safe_load(run.read_bytes(FILE)) or {}
    except yaml.YAMLError as error:
        raise UsageError(
            f"{run.path(FILE)}: not YAML ({' '.join(str(error).split())}); delete it to fit anew"
        ) from None
    if not isinstance(data, dict):
        raise UsageError(f"{run.path(FILE)}: expected a mapping from rule to threshold; delete it to fit anew")
    return {name: parse_config(Threshold, entry, f"{run.path(FILE)}: {name}") for name, entry in data.items()}


def write_thresholds(run: RunFolder, thresholds: Thresholds) -> None:
    """Write `RUN/thresholds.yaml` at once, unless it already says the same."""
    order = list(RulesConfig.model_fields)
    rows = {name: thresholds[name].model_dump(mode="json") for name in sorted(thresholds, key=order.index)}
    text = "# Limits in force. Rank limits were fitted to this run's scores and stand until --refit.\n"
    data = (text + yaml.safe_dump(rows, sort_keys=False)).encode()
    if not run.exists(FILE) or run.read_bytes(FILE) != data:
        run.write_bytes(FILE, data)


def _fit(rule: Rule, scores: pl.Series) -> Threshold:
    bounds = rule.bounds
    assert bounds is not None
    values = scores.filter(scores.is_finite())
    low, high = rank_limits(values, bounds.drop_lowest, bounds.drop_highest)
    low = bounds.min if bounds.drop_lowest is None else low
    high = bounds.max if bounds.drop_highest is None else high
    return _threshold(rule, low, high, fitted_on=len(values))


def _threshold(rule: Rule, low: float | None, high: float | None, fitted_on: int | None = None) -> Threshold:
    assert rule.bounds is not None
    source = "absolute" if fitted_on is None else "rank"
    return Threshold(
        level=rule.level, column=rule.column, min=low, max=high, source=source, fitted_on=fitted_on, config=rule.bounds
    )


def _same(known: Threshold, rule: Rule) -> bool:
    return (known.level, known.column, known.config) == (rule.level, rule.column, rule.bounds)
