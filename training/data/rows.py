"""Single rows of Parquet datasets, without the rest of their shards."""

import functools
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder


def read_row(run: str, dataset: str, shard: str, row: int, columns: Sequence[str]) -> pa.Table:
    """One row, from the row group that holds it.

    Raises:
        UsageError: there is no such row (any more).
    """
    file = _open_shard(run, dataset, shard)
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if row < rows:
            return file.read_row_group(group, columns=list(columns), use_threads=False).slice(row, 1)
        row -= rows
    raise UsageError(f"{run}: {dataset}/{shard}.parquet has changed since training started; start it again")


@functools.lru_cache(maxsize=256)
def _open_shard(run: str, dataset: str, shard: str) -> pq.ParquetFile:
    """Kept open by the worker, so that the footer is parsed once."""
    return RunFolder(run).open_shard(dataset, shard)
