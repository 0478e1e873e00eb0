"""Commit a shard: its rows to every dataset of the pass, then the ledger entry that makes them count."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from curation.contract.manifest import RunFolder
from curation.contract.schemas import SCHEMAS
from curation.contract.tables import Tables
from curation.engine.ledger import Ledger
from curation.engine.run_lock import check_owner
from curation.engine.shards import Item, ItemReport, ShardReport


def commit_shard(
    run: RunFolder,
    pass_name: str,
    datasets: tuple[str, ...],
    name: str,
    fingerprint: str,
    results: list[tuple[Tables, ItemReport]],
    schemas: Mapping[str, pa.Schema] | None = None,
    owner: str = "",
    deferred: Sequence[Item] = (),
) -> ShardReport:
    """Write the tables of all items as one file per dataset (also when empty), then the ledger entry.

    Nothing is written when an item says that the run must stop: the next run does the shard again.

    Args:
        schemas: of datasets that are not curation's.
        owner: token of the run that this is written for; empty where there is no lock.
        deferred: items left out; the report hands them back.

    Raises:
        CurationError: another run has taken over the folder.
        OSError: it cannot be written.
    """
    report = ShardReport(name, [report for _, report in results], list(deferred))
    if any(item.stop for item in report.items):
        return report
    if owner:
        check_owner(run, owner)
    ledger = Ledger(run, pass_name, datasets)
    if ledger.has(name):
        ledger.reopen(name)
    for dataset in datasets:
        parts = [tables[dataset] for tables, _ in results if dataset in tables]
        schema = schemas[dataset] if schemas else SCHEMAS[dataset.split("/")[-1].split("_")[-1]]
        run.write_shard(dataset, name, pa.concat_tables(parts) if parts else schema.empty_table())
    ledger.commit(report, fingerprint)
    return report
