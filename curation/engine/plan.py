"""What a pass has to do: the difference between what there is and what the ledger says, and why.

Inputs and plan are tables, never lists of rows: there may be millions. The ledger is gone through in parts, of which
only what is not as it should be is kept. The shards to do are written to the run's storage, where workers read their
own.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import overload

import polars as pl
import pyarrow as pa

from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder
from curation.engine.ledger import REPLACED, Ledger
from curation.engine.redo import Chain
from curation.engine.shards import Item, Shard, shard_name, shard_size

_PER_FILE = 256
_LEDGER_COLUMNS = ["item_id", "uri", "bytes", "fingerprint", "state", "clips", "model_error"]
# Columns of `wanted`, see `plan_pass`.
WANTED = {
    "item_id": pl.String,
    "uri": pl.String,
    "bytes": pl.Int64,
    "clips": pl.List(pl.String),
    "analysis_shard": pl.String,
}
# Of committed items that are made again, or share their shard with some: `why` is null for these.
_REDONE = {
    "shard": pl.String,
    **WANTED,
    "redo": pl.List(pl.String),
    "settled": pl.Boolean,
    "why": pl.String,
    "fingerprint": pl.String,
}


class PlannedShards(Sequence[Shard]):
    """The shards of a pass on the run's storage, read one at a time. Cheap to pickle."""

    def __init__(self, run: RunFolder, pass_name: str, count: int) -> None:
        self._run, self._folder, self._count = run, f"ledger/plan/{pass_name}", count

    @staticmethod
    def write(run: RunFolder, pass_name: str, shards: Iterable[Shard]) -> "PlannedShards":
        """Replace the plan of a pass."""
        planned = PlannedShards(run, pass_name, 0)
        planned.delete()
        remaining = iter(shards)
        while part := [shard.to_json() for shard in islice(remaining, _PER_FILE)]:
            run.write_shard(planned._folder, f"{planned._count // _PER_FILE:06d}", pa.table({"shard": part}))
            planned._count += len(part)
        return planned

    def delete(self) -> None:
        for file in self._run.files(self._folder, ".parquet"):
            self._run.delete(file)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Shard: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Shard]: ...
    def __getitem__(self, index: int | slice) -> Shard | Sequence[Shard]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        rows = self._run.read_shard(self._folder, f"{index // _PER_FILE:06d}")
        return Shard.from_json(rows["shard"][index % _PER_FILE].as_py())


@dataclass
class Plan:
    """
    Attributes:
        new: items that share no shard with committed ones, sorted; columns of WANTED.
        redone: items of committed shards that are made again under their names, with `shard`, `redo` and `settled`
            (see `Item`), sorted by shard and item.
        retired: committed shards of which nothing stays.
        items: how many are worked on. failed: how many are not, and failed before.
        reasons: for a person, why, e.g. "3 are new".
    """

    new: pl.DataFrame
    redone: pl.DataFrame
    retired: list[str]
    items: int
    failed: int
    reasons: list[str] = field(default_factory=list)

    def shards(self, pass_name: str, size: int | None) -> Iterator[Shard]:
        """Committed shards first: what depends on them is stale until they are done."""
        for (name,), rows in self.redone.group_by("shard", maintain_order=True):
            yield Shard(str(name), tuple(_items(rows)))
        for rows in self.new.iter_slices(shard_size(self.new.height, size)):
            yield Shard(shard_name(pass_name, rows["item_id"]), tuple(_items(rows)))


def plan_pass(
    ledger: Ledger,
    wanted: pl.DataFrame,
    chain: Chain,
    settings: str,
    changes: Callable[[str, list[str]], str],
    again: pl.Series | None = None,
    keep_unwanted: bool = True,
) -> Plan:
    """Compare what is wanted with what is committed.

    Args:
        wanted: columns of WANTED, one row an item.
        chain: the stages.
        settings: fingerprints of the run at work that count for failed items only, `name=value`.
        changes: fingerprint, stages -> which of their settings changed since, for a person.
        again: item_ids that are to be done anew for a reason of the caller's.
        keep_unwanted: committed items that are not wanted stay where they share a shard with others.

    Raises:
        UsageError: a committed item was made from a file at another place.
    """
    again = again if again is not None else pl.Series(dtype=pl.String)
    made = _Made(chain)
    is_new = pl.repeat(True, wanted.height, eager=True)
    touched: list[pl.DataFrame] = []
    retired: list[str] = []
    settled = 0
    for known in ledger.parts(_LEDGER_COLUMNS):
        here = wanted["item_id"].is_in(known["item_id"].implode())
        is_new &= ~here
        made.add(known["fingerprint"].unique())
        rows = _compared(known, wanted.filter(here), made, settings, again)
        _refuse_other_files(ledger.run, rows)
        settled += rows.filter(pl.col("wanted") & pl.col("why").is_null() & (pl.col("state") == "failed")).height
        stirred = rows.filter(pl.col("why").is_not_null() | (pl.lit(not keep_unwanted) & ~pl.col("wanted")))["shard"]
        rows = rows.filter(pl.col("shard").is_in(stirred.unique().implode()) & (pl.col("wanted") | keep_unwanted))
        retired += sorted(set(stirred) - set(rows["shard"]))
        touched.append(_redone(rows, made))
    new = wanted.filter(is_new)
    redone = pl.concat(touched) if touched else pl.DataFrame(schema=_REDONE)
    reasons = _reasons(new.height, redone, made, changes)
    items = new.height + redone["why"].count()
    return Plan(new.sort("item_id"), redone.drop("why", "fingerprint"), retired, items, settled, reasons)


class _Made:
    """What the fingerprints in a ledger mean for a chain of stages.

    Attributes:
        stale: fingerprint -> stages that would come out different now.
        to_run: fingerprint -> stages to run; None: all, building on nothing.
    """

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.stale: dict[str, tuple[str, ...]] = {}
        self.to_run: dict[str, tuple[str, ...] | None] = {}

    def add(self, fingerprints: Iterable[str]) -> None:
        for made_with in fingerprints:
            if made_with not in self.stale:
                stale = self.stale[made_with] = self.chain.stale(made_with)
                self.to_run[made_with] = self.chain.to_run(stale) if stale else ()

    @property
    def outdated(self) -> list[str]:
        return [made_with for made_with, names in self.to_run.items() if names != ()]

    @property
    def partly(self) -> dict[str, list[str]]:
        return {made_with: list(names) for made_with, names in self.to_run.items() if names is not None}


def _compared(known: pl.DataFrame, wanted: pl.DataFrame, made: _Made, settings: str, again: pl.Series) -> pl.DataFrame:
    """Ledger rows with `uri_now` and so on of what is wanted, `wanted`, and `why` they are to be done again or null."""
    joined = known.join(wanted, on="item_id", how="left", suffix="_now", coalesce=True)
    joined = joined.with_columns(pl.col("bytes_now").is_not_null().alias("wanted"))
    failed = pl.col("state") == "failed"
    more_clips = pl.col("clips_now").list.set_difference("clips").list.len() > 0
    why = (
        pl.when(pl.col("bytes") != pl.col("bytes_now"))
        .then(pl.lit("changed"))
        .when(pl.col("state") == "unfinished")
        .then(pl.lit("unfinished"))
        .when(pl.col("model_error").is_not_null())
        .then(pl.lit("model"))
        .when(pl.col("item_id").is_in(again.implode()))
        .then(pl.lit("admitted"))
        .when(failed & ~pl.col("fingerprint").str.contains(settings, literal=True))
        .then(pl.lit("limits"))
        .when(
            ((pl.col("state") != "skipped") & pl.col("fingerprint").is_in(made.outdated))
            | (pl.col("fingerprint") == REPLACED)
        )
        .then(pl.lit("settings"))
        .when(more_clips)
        .then(pl.lit("clips"))
    )
    return joined.with_columns(pl.when("wanted").then(why).alias("why"))


def _refuse_other_files(run: RunFolder, rows: pl.DataFrame) -> None:
    other = rows.filter(pl.col("uri") != pl.col("uri_now"))
    if other.height:
        row = other.row(0, named=True)
        raise UsageError(
            f"{run.uri}: was made from {row['uri']}, and the input now has another file of that name at "
            f"{row['uri_now']}; give another --output"
        )


def _redone(rows: pl.DataFrame, made: _Made) -> pl.DataFrame:
    """Rows of _REDONE, sorted."""
    # Where anything but settings changed there is nothing to build on.
    builds = pl.col("why").is_in(["settings", "clips", "model"]) & (pl.col("state") == "done")
    builds = builds & pl.col("fingerprint").is_in(list(made.partly))
    stages = pl.col("fingerprint").replace_strict(made.partly, default=None, return_dtype=pl.List(pl.String))
    return rows.select(
        "shard",
        "item_id",
        pl.coalesce("uri_now", "uri").alias("uri"),
        pl.coalesce("bytes_now", "bytes").alias("bytes"),
        pl.coalesce("clips_now", "clips").alias("clips"),
        pl.col("analysis_shard").fill_null(""),
        pl.when(builds).then(stages).alias("redo"),
        pl.col("why").is_null().alias("settled"),
        "why",
        "fingerprint",
    ).sort("shard", "item_id")


def _items(rows: pl.DataFrame) -> list[Item]:
    items = []
    for row in rows.drop("shard", strict=False).iter_rows(named=True):
        redo = row.pop("redo", None)
        clips = tuple(row.pop("clips"))
        items.append(Item(**row, clips=clips, redo=None if redo is None else tuple(redo)))
    return items


def _reasons(new: int, redone: pl.DataFrame, made: _Made, changes: Callable[[str, list[str]], str]) -> list[str]:
    """One phrase for each kind of work, the most frequent first."""
    said = {
        "changed": "{} of other size than before",
        "unfinished": "{} that storage kept from being read",
        "model": "{} that a model failed on",
        "admitted": "{} that the rules let through now",
        "limits": "{} that failed under other limits",
        "clips": "{} with more clips that the rules keep now",
    }
    counted = (
        redone.filter(pl.col("why").is_not_null()).group_by("why", "fingerprint").len().sort("len", descending=True)
    )
    phrases: dict[str, int] = {}
    for why, made_with, count in counted.iter_rows():
        if made_with == REPLACED:
            phrase = "{} whose rows were being replaced when a run ended"
        elif why == "settings":
            names = made.to_run[made_with]
            what = "every stage" if names is None else ", ".join(names)
            roots = made.chain.roots(made.stale[made_with])
            behind = {source: None for root in roots for source in made.chain.sources(root)}
            phrase = f"{{}} for {what} ({changes(made_with, list(behind)) or 'made by another version'})"
        else:
            phrase = said[why]
        phrases[phrase] = phrases.get(phrase, 0) + count
    said_of_new = [f"{new} new"] if new else []
    return said_of_new + [phrase.format(count) for phrase, count in phrases.items()]
