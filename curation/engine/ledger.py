"""What is done: one small Parquet file per committed shard, the last thing that is written of it.

A shard without its ledger file does not count: whatever it left in the manifests is removed when the run goes on.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pyarrow as pa

from curation.contract.manifest import RunFolder
from curation.engine.shards import ItemReport, ShardReport

LEDGER_SCHEMA = pa.schema(
    [
        pa.field("item_id", pa.string()),
        pa.field("uri", pa.string()),
        pa.field("bytes", pa.int64()),
        pa.field("fingerprint", pa.string()),
        pa.field("state", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("clips", pa.list_(pa.string())),
        pa.field("clip_errors", pa.map_(pa.string(), pa.string())),
        pa.field("model_error", pa.string()),
        pa.field("worker", pa.string()),
        pa.field("counts", pa.map_(pa.string(), pa.float64())),
        pa.field("source_frames", pa.int64()),
        pa.field("decoded_frames", pa.int64()),
        pa.field("seconds", pa.float64()),
        pa.field("stage_seconds", pa.map_(pa.string(), pa.float64())),
    ]
)

REPLACED = "replaced"  # fingerprint of rows whose files are being written anew
_SHARDS_AT_ONCE = 256  # of at most 64 items by default
_READERS = 16  # requests under way at once: object stores answer slowly, but many at a time


class Ledger:
    """The ledger of one pass.

    Args:
        datasets: datasets of the run folder that the pass writes; a shard has the same name in each of them.
    """

    def __init__(self, run: RunFolder, pass_name: str, datasets: tuple[str, ...]) -> None:
        self.run = run
        self.folder = f"ledger/{pass_name}"
        self.datasets = datasets

    def commit(self, report: ShardReport, fingerprint: str) -> None:
        """Record a shard whose output is in place."""
        rows = [_row(item, item.fingerprint or fingerprint) for item in report.items]
        self.run.write_shard(self.folder, report.name, pa.Table.from_pylist(rows, schema=LEDGER_SCHEMA))

    def entries(self) -> dict[str, list[dict]]:
        """Committed shards: name -> rows, map columns as dicts."""
        result = {}
        for name in self.run.shards(self.folder):
            rows = self.run.read_shard(self.folder, name).to_pylist()
            for row in rows:
                row["clip_errors"] = dict(row["clip_errors"] or [])
                row["stage_seconds"] = dict(row["stage_seconds"] or [])
                row["counts"] = dict(row.get("counts") or [])  # runs of earlier versions have none
            result[name] = rows
        return result

    def frame(self, columns: list[str]) -> pl.DataFrame:
        """Rows of all committed shards, those columns and `shard`; maps as lists of key and value.

        As a table: there may be millions.
        """
        parts = list(self.parts(columns))
        return pl.concat(parts) if parts else self._table([], columns)

    def parts(self, columns: list[str]) -> Iterator[pl.DataFrame]:
        """The same, some shards at a time: for who need not hold all rows at once."""
        shards = self.run.shards(self.folder)
        for start in range(0, len(shards), _SHARDS_AT_ONCE):
            yield self._table(shards[start : start + _SHARDS_AT_ONCE], columns)

    def _table(self, shards: list[str], columns: list[str]) -> pl.DataFrame:
        kinds = pa.schema([*(_plain(LEDGER_SCHEMA.field(column)) for column in columns), ("shard", pa.string())])

        def read(shard: str) -> pa.Table:
            rows = self.run.read_shard(self.folder, shard, columns)
            for column in set(columns) - set(rows.column_names):  # runs of earlier versions lack some
                rows = rows.append_column(kinds.field(column), pa.nulls(rows.num_rows, kinds.field(column).type))
            return (
                rows.select(columns).append_column("shard", pa.array([shard] * rows.num_rows, pa.string())).cast(kinds)
            )

        with ThreadPoolExecutor(_READERS) as readers:
            parts = list(readers.map(read, shards))
        frame = pl.from_arrow(pa.concat_tables([kinds.empty_table(), *parts]))
        assert isinstance(frame, pl.DataFrame)
        return frame

    def has(self, shard: str) -> bool:
        return self.run.exists(f"{self.folder}/{shard}.parquet")

    def reports(self, shard: str) -> dict[str, ItemReport]:
        """What was committed of the items of one shard, by item_id; each keeps the fingerprint it was made with."""
        rows = self.run.read_shard(self.folder, shard).to_pylist()
        maps = ("clip_errors", "stage_seconds", "counts")
        return {row["item_id"]: ItemReport(**row | {name: dict(row.get(name) or []) for name in maps}) for row in rows}

    def reopen(self, shard: str) -> None:
        """Say of a committed shard that its files are being replaced: should that be cut short, it is done again."""
        reports = list(self.reports(shard).values())
        for report in reports:
            report.fingerprint = REPLACED
        self.commit(ShardReport(shard, reports), REPLACED)

    def retire(self, shards: Iterable[str]) -> None:
        """Take shards back: first the ledger entry, so that a crash in between leaves them merely undone."""
        for name in shards:
            self.run.delete(f"{self.folder}/{name}.parquet")
            for dataset in self.datasets:
                self.run.delete(f"{dataset}/{name}.parquet")

    def sweep(self) -> int:
        """Remove output that was never committed (a crash between writing and committing); returns how many files."""
        committed = set(self.run.shards(self.folder))
        removed = 0
        for dataset in self.datasets:
            for name in set(self.run.shards(dataset)) - committed:
                self.run.delete(f"{dataset}/{name}.parquet")
                removed += 1
        return removed


def _plain(field: pa.Field) -> pa.Field:
    """Maps as lists of structs, which polars computes with."""
    if not pa.types.is_map(field.type):
        return field
    entry = pa.struct([("key", field.type.key_type), ("value", field.type.item_type)])
    return pa.field(field.name, pa.list_(entry))


def _row(item: ItemReport, fingerprint: str) -> dict:
    return {
        "item_id": item.item_id,
        "uri": item.uri,
        "bytes": item.bytes,
        "fingerprint": fingerprint,
        "state": item.state,
        "detail": item.detail,
        "clips": item.clips,
        "clip_errors": list(item.clip_errors.items()),
        "model_error": item.model_error,
        "worker": item.worker,
        "counts": list(item.counts.items()),
        "source_frames": item.source_frames,
        "decoded_frames": item.decoded_frames,
        "seconds": item.seconds,
        "stage_seconds": list(item.stage_seconds.items()),
    }
