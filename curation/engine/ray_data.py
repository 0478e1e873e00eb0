"""Shards on Ray Data: the one place that imports Ray.

Shards are rows of a tiny dataset, one per block, mapped by a pool of actors that each hold the models once. Nothing
else runs beside the pool, so a pool as large as the machine cannot starve another operator (a resident pool plus one
pending task deadlocks on two CPUs). Rows are a few strings: frames never reach the object store.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from curation.engine.shards import Shard, ShardReport, ShardWorker
from curation.stages.stage import Resources

_OBJECT_STORE_BYTES = 128 * 1024**2


class _Actor:
    """Builds the worker on its node and feeds it."""

    def __init__(self, build: Callable[[], ShardWorker]) -> None:
        self._worker = build()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"report": self._worker(Shard.from_json(row["shard"])).to_json()}


def run_shards(
    build: Callable[[], ShardWorker], shards: Sequence[Shard], resources: Resources, workers: int | None
) -> Iterator[ShardReport]:
    """Process shards on the cluster that RAY_ADDRESS names (set inside `ray job submit`), else on a local one.

    Args:
        build: makes the worker; pickled, called once per actor.
        workers: actors at most; None for as many as the cluster's CPUs (and GPUs) allow.

    Yields:
        Reports in the order in which shards finish.
    """
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    _connect(workers)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.verbose_progress = False
    context.print_on_execution_start = False
    pool = min(len(shards), _pool_size(ray.cluster_resources(), resources, workers))
    rows = ray.data.from_items([{"shard": shard.to_json()} for shard in shards], override_num_blocks=len(shards))
    reports = rows.map(
        _Actor,
        fn_constructor_args=(build,),
        compute=ActorPoolStrategy(size=pool),
        num_cpus=resources.cpus,
        num_gpus=resources.gpus or None,
        # One task per actor at a time: a second one queued behind a long clip would leave another actor idle.
        max_concurrency=1,
    )
    for row in reports.iter_rows():
        yield ShardReport.from_json(row["report"])


def shut_down() -> None:
    import ray

    ray.shutdown()


def _connect(workers: int | None) -> None:
    import ray

    if ray.is_initialized():
        return
    logging.getLogger("ray").setLevel(logging.WARNING)
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    if os.environ.get("RAY_ADDRESS"):
        ray.init(logging_level=logging.WARNING, log_to_driver=True)
        return
    # A private cluster for this command. Without a dashboard and with a small object store it starts in seconds.
    ray.init(
        address="local",
        num_cpus=workers or os.cpu_count(),
        include_dashboard=False,
        object_store_memory=_OBJECT_STORE_BYTES,
        logging_level=logging.WARNING,
        log_to_driver=True,
    )


def _pool_size(available: dict[str, float], resources: Resources, workers: int | None) -> int:
    by_cpu = int(available.get("CPU", 1) // resources.cpus) if resources.cpus else 1
    by_gpu = int(available.get("GPU", 0) // resources.gpus) if resources.gpus else by_cpu
    return max(1, min(by_cpu, by_gpu, workers or by_cpu))
