"""Shards on Ray Data: the one place that imports Ray.

Shards are rows of a tiny dataset, one per block: a few strings, so frames never reach the object store. Without GPUs
they run as tasks: nothing is held while nothing runs, so two CPUs suffice (a resident pool of actors plus one pending
task deadlocks there), and a worker process keeps its models between tasks. With GPUs a pool of actors holds the
models, since Ray ends a GPU task's process with the task.
"""

import functools
import logging
import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from curation.contract.errors import CurationError, UsageError
from curation.contract.logs import LogSetup, apply_logging, current_logging
from curation.contract.storage import cannot_go_on
from curation.engine import metrics
from curation.engine.shards import Shard, ShardReport, ShardWorker
from curation.stages.stage import Resources

logger = logging.getLogger(__name__)

_OBJECT_STORE_BYTES = 128 * 1024**2
_ANSWER_S = 10


class _Actor:
    """Builds the worker once and feeds it."""

    def __init__(self, build: Callable[[], ShardWorker], shards: Sequence[Shard], run: str, log: LogSetup) -> None:
        apply_logging(log)
        self._build = functools.lru_cache(maxsize=1)(build)
        self._shards, self._run = shards, run

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return _process(self._build, self._shards[row["id"]], self._run)


@functools.lru_cache(maxsize=1)
def _worker_of_this_process(build: Callable[[], ShardWorker]) -> ShardWorker:
    return build()


def _task(
    row: dict[str, Any], build: Callable[[], ShardWorker], shards: Sequence[Shard], run: str, log: LogSetup
) -> dict[str, Any]:
    apply_logging(log)
    return _process(functools.partial(_worker_of_this_process, build), shards[row["id"]], run)


def _process(built: Callable[[], ShardWorker], shard: Shard, run: str) -> dict[str, Any]:
    """A shard's report; or the line with which the run has to end. Ray makes pages of exceptions."""
    row = {"report": "", "refused": "", "error": ""}
    try:
        report = built()(shard)
        metrics.record(report, run)
        return row | {"report": report.to_json()}
    except UsageError as error:
        return row | {"refused": str(error)}
    except CurationError as error:
        return row | {"error": str(error)}
    except OSError as error:
        return row | {"error": cannot_go_on(error)}


def run_shards(
    build: Callable[[], ShardWorker],
    shards: Sequence[Shard],
    resources: Resources,
    workers: int | None,
    gpus_optional: bool = False,
    run: str = "",
) -> Iterator[ShardReport]:
    """Process shards on the cluster that RAY_ADDRESS names (set inside `ray job submit`), else on a local one.

    Args:
        build: makes the worker; picklable and hashable by value, called once per worker process.
        shards: travels to the workers, which take their own by index: a list of few, or one that reads from storage.
        workers: workers at most; None for as many as the cluster has room for, or grows to.
        gpus_optional: do without GPUs where a cluster of our own has none.
        run: name of what is worked on, for metrics.

    Yields:
        Reports in the order in which shards finish.

    Raises:
        UsageError: a worker cannot be built: a backend is missing, not even one worker fits.
        CurationError: a worker cannot go on: no room on the disk, storage that does not come back, a lost run folder.
    """
    connect(workers)
    import ray
    from ray.data import ActorPoolStrategy, DataContext, TaskPoolStrategy

    DataContext.get_current().enable_progress_bars = False
    rows = ray.data.range(len(shards), override_num_blocks=len(shards))
    if not os.environ.get("RAY_ADDRESS"):
        if gpus_optional and not ray.cluster_resources().get("GPU"):
            resources = replace(resources, gpus=0.0)
        _check_room(ray.cluster_resources(), resources)
    # Ray counts memory as it counts CPUs: a machine with many cores and little memory gets fewer workers.
    memory = resources.memory_mb * 2**20
    if resources.gpus:
        actors = ActorPoolStrategy(min_size=1, max_size=workers, max_tasks_in_flight_per_actor=1)
        reports = rows.map(
            _Actor,  # pyright: ignore[reportArgumentType] - a callable class, which Ray's annotation leaves out
            fn_constructor_args=(build, shards, run, current_logging()),
            compute=actors,
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            memory=memory,
        )
    else:
        task = functools.partial(_task, build=build, shards=shards, run=run, log=current_logging())
        tasks = TaskPoolStrategy(size=workers)
        reports = rows.map(task, compute=tasks, num_cpus=resources.cpus, memory=memory)
    for row in reports.iter_rows():
        if row["refused"]:
            raise UsageError(row["refused"])
        if row["error"]:
            raise CurationError(row["error"])
        yield ShardReport.from_json(row["report"])


def shut_down() -> None:
    import ray

    ray.shutdown()


def connect(workers: int | None, object_store_bytes: int = _OBJECT_STORE_BYTES, dashboard: bool = False) -> None:
    """Join the cluster of this process, or the one that RAY_ADDRESS names, or start a private one.

    Args:
        workers: CPUs of a private cluster; None for all of the machine's.
        object_store_bytes: of a private cluster.
        dashboard: start it on a private cluster; Ray Train asks it whether its controller is alive.

    Raises:
        UsageError: nothing answers at RAY_ADDRESS.
        CurationError: Ray does not start.
    """
    loaded = "ray" in sys.modules
    if loaded and sys.modules["ray"].is_initialized():
        return
    own = not os.environ.get("RAY_ADDRESS")
    if own and not loaded and "RAY_AUTH_MODE" not in os.environ:  # Ray reads it when it is imported
        # Ray guards a local cluster by a token, and would leave it in the home folder, where it switches token checks
        # on for every cluster that is started there later. Ours lives as long as this process, and so may its token.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    import ray
    import ray.data

    # Importing ray.data sets these up. Below ERROR, Ray tells of its own token files and of progress bars that were
    # switched off on purpose.
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if not own:
        _check_answers(os.environ["RAY_ADDRESS"])
        _start_patiently(lambda: ray.init(logging_level=logging.ERROR))
        return
    # A private cluster for this command. Without a dashboard and with a small object store it starts in seconds.
    _start_patiently(
        lambda: ray.init(
            address="local",
            num_cpus=workers or os.cpu_count(),
            include_dashboard=dashboard,
            object_store_memory=object_store_bytes,
            logging_level=logging.ERROR,
        )
    )


def _check_answers(address: str) -> None:
    """Ray would try for a quarter of an hour, without a word.

    Raises:
        UsageError: nothing does.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdigit():  # "auto" and the like
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()
    except OSError as error:
        raise UsageError(
            f"RAY_ADDRESS={address}: nothing answers there ({error}); start the cluster, or unset RAY_ADDRESS to run "
            "on this machine"
        ) from None


def _start_patiently(start: Callable[[], object]) -> None:
    """Ray gives its processes half a minute to start, too little where other work holds the machine: once more then.

    Raises:
        CurationError: it did not start the second time either.
    """
    import ray

    for attempt in (1, 2):
        try:
            start()
            return
        except Exception as error:  # Ray has no class of its own for this
            if attempt == 2:
                raise CurationError(
                    f"Ray did not start, twice: {_one_line(error)} (load {os.getloadavg()[0]:.0f} on {os.cpu_count()} "
                    "CPUs; where that is much, run again when other work is done)"
                ) from error
            logger.warning("Ray did not start (%s); trying once more", _one_line(error))
            ray.shutdown()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _check_room(available: Mapping[str, float], resources: Resources) -> None:
    """A cluster of our own does not grow: Ray would wait for a bigger machine without a word.

    Raises:
        UsageError: not even one worker fits.
    """
    wanted = {
        "worker_cpus": ("CPU", resources.cpus, 1),
        "worker_gpus": ("GPU", resources.gpus, 1),
        "worker_memory_mb": ("memory", resources.memory_mb, 2**20),
    }
    for key, (kind, amount, unit) in wanted.items():
        there = available.get(kind, 0) / unit
        if amount > there:
            raise UsageError(f"engine.{key}={amount:g}: this machine gives Ray {there:.0f}; set it lower")
