"""Commit a shard: its rows to every dataset of the pass, then the ledger entry that makes them count."""

from collections.abc import Mapping

import pyarrow as pa

from curation.contract.manifest import RunFolder
from curation.contract.schemas import SCHEMAS
from curation.contract.tables import Tables
from curation.engine.ledger import Ledger
from curation.engine.shards import ItemReport, ShardReport


def commit_shard(
    run: RunFolder,
    pass_name: str,
    datasets: tuple[str, ...],
    name: str,
    fingerprint: str,
    results: list[tuple[Tables, ItemReport]],
    schemas: Mapping[str, pa.Schema] | None = None,
) -> ShardReport:
    """Write the tables of all items as one file per dataset (also when empty), then the ledger entry.

    Args:
        schemas: of datasets that are not curation's.
    """
    for dataset in datasets:
        parts = [tables[dataset] for tables, _ in results if dataset in tables]
        schema = schemas[dataset] if schemas else SCHEMAS[dataset.split("/")[-1].split("_")[-1]]
        run.write_shard(dataset, name, pa.concat_tables(parts) if parts else schema.empty_table())
    report = ShardReport(name, [report for _, report in results])
    Ledger(run, pass_name, datasets).commit(report, fingerprint)
    return report
