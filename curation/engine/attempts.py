"""Quarantine for items that kill their worker: a crash in native code, out of memory, a hang.

Before an item, a tiny counter on the run's storage is bumped; afterwards it is removed. An item whose counter already
stands at the limit has taken down its worker that often and is not tried again. A hang becomes a crash by a C-level
watchdog that works while the interpreter is stuck in native code.
"""

import faulthandler
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from curation.contract.errors import BackendUnavailableError, ModelError, VideoError
from curation.contract.manifest import RunFolder
from curation.engine.config import OnError
from curation.engine.shards import ItemReport
from curation.models.usage import take_counts

T = TypeVar("T")

LIMIT = 2


def guarded(
    run: RunFolder,
    pass_name: str,
    report: ItemReport,
    deadline_s: float | None,
    work: Callable[[], T],
    on_error: OnError = "drop",
) -> T | None:
    """Do the work on one item as an `attempt`; its time, its counts and its failure go into the report.

    Args:
        on_error: see EngineConfig.

    Returns:
        What `work` returns; None when it failed: one video must not cost the others of its shard.
    """
    started = time.perf_counter()
    take_counts()  # what was counted before in this process is not this item's
    try:
        with attempt(run, pass_name, report.item_id, deadline_s):
            return work()
    except VideoError as error:
        report.state, report.detail = "failed", str(error)
    except ModelError as error:
        report.state, report.detail = "failed", str(error)
        note_model_error(report, error, on_error)
    except BackendUnavailableError as error:  # no item can be done without it
        report.state = "failed"
        report.detail = report.stop = str(error)
    except Exception as error:  # noqa: BLE001 - a bug that one video brings out
        report.state, report.detail = "failed", f"internal error: {type(error).__name__}: {error}"
    finally:
        report.seconds = time.perf_counter() - started
        report.worker = f"{platform.node()} {os.getpid()}"
        add_counts(report)
    return None


def note_model_error(report: ItemReport, error: ModelError, on_error: OnError) -> None:
    """Mark the item for another try, and the run to end if that is configured."""
    report.model_error = str(error)
    if on_error == "stop":
        report.stop = f"{report.uri}: {error}"


def add_counts(report: ItemReport) -> None:
    """Put down to the item what backends counted in this process since the last time."""
    for what, amount in take_counts().items():
        report.counts[what] = report.counts.get(what, 0) + amount


@contextmanager
def attempt(run: RunFolder, pass_name: str, item_id: str, deadline_s: float | None) -> Iterator[None]:
    """Guard the work on one item.

    Args:
        deadline_s: kill this process when the item takes longer; None where the process is not ours to kill.

    Raises:
        VideoError: the item has crashed its worker LIMIT times already.
    """
    counter = f"ledger/attempts/{pass_name}-{item_id}"
    tried = int(run.read_bytes(counter)) if run.exists(counter) else 0
    if tried >= LIMIT:
        run.delete(counter)
        raise VideoError(f"crashed its worker or hung {tried} times in the {pass_name} pass; not tried again")
    run.write_bytes(counter, str(tried + 1).encode())
    if deadline_s is not None:
        faulthandler.dump_traceback_later(deadline_s, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        run.delete(counter)
