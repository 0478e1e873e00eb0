"""Quarantine for items that kill their worker: a crash in native code, out of memory, a hang.

Before an item, a tiny counter on the run's storage is bumped; afterwards it is removed. An item whose counter already
stands at the limit has taken down its worker that often and is not tried again. A hang becomes a crash by a C-level
watchdog that works while the interpreter is stuck in native code.
"""

import faulthandler
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from curation.contract.errors import VideoError
from curation.contract.manifest import RunFolder
from curation.engine.shards import ItemReport

T = TypeVar("T")

LIMIT = 2


def guarded(
    run: RunFolder, pass_name: str, report: ItemReport, deadline_s: float | None, work: Callable[[], T]
) -> T | None:
    """Do the work on one item as an `attempt`; its time and its failure go into the report.

    Returns:
        What `work` returns; None when it failed: one video must not cost the others of its shard.
    """
    started = time.perf_counter()
    try:
        with attempt(run, pass_name, report.item_id, deadline_s):
            return work()
    except VideoError as error:
        report.state, report.detail = "failed", str(error)
    except Exception as error:  # noqa: BLE001 - a bug that one video brings out
        report.state, report.detail = "failed", f"internal error: {type(error).__name__}: {error}"
    finally:
        report.seconds = time.perf_counter() - started
    return None


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
