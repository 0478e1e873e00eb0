"""The funnel: how many items came in, were kept, and were dropped by which rule, level by level."""

from typing import TypedDict

import polars as pl
import pyarrow as pa
from rich.table import Table

_LEVELS = ("video", "clip", "object", "sample")


class FunnelRow(TypedDict):
    """Attributes: into (items of the level), kept (those that reach samples), dropped (rule -> items, most first)."""

    level: str
    into: int
    kept: int
    dropped: dict[str, int]


def funnel(verdicts: pa.Table) -> list[FunnelRow]:
    """One row per level, from the verdicts manifest; levels without items count zero."""
    items = pl.DataFrame(verdicts.select(["level", "rule", "kept"]))
    counts = items.group_by("level", "rule", "kept").agg(count=pl.len())
    counts = counts.sort(["count", "rule"], descending=[True, False])
    result: list[FunnelRow] = []
    for level in _LEVELS:
        rows = counts.filter(pl.col("level") == level)
        lost = rows.filter(~pl.col("kept"))
        kept = int(rows.filter(pl.col("kept"))["count"].sum())
        dropped = {rule: int(count) for rule, count in zip(lost["rule"], lost["count"], strict=True)}
        result.append(FunnelRow(level=level, into=kept + sum(dropped.values()), kept=kept, dropped=dropped))
    return result


def funnel_table(rows: list[FunnelRow]) -> Table:
    """The funnel for a terminal."""
    table = Table("level", "in", "kept", "dropped by rule", title="Funnel", title_justify="left")
    table.columns[1].justify = table.columns[2].justify = "right"
    for row in rows:
        dropped = ", ".join(f"{count:,} {rule}" for rule, count in row["dropped"].items())
        table.add_row(row["level"], f"{row['into']:,}", f"{row['kept']:,}", dropped)
    return table
