"""Quarantine for items that take down their worker: a crash in native code, out of memory, a hang.

Before an item, a note is written to the run's storage; afterwards it is removed. A note that is still there tells of a
worker that died over the item. It is then worked on apart from its shard, so that others are not done again because of
it, and not at all once it has shown that the fault is its own. A thread beside the work ends a process that takes too
long or too much memory, and writes down why; a watchdog in C does so where the interpreter is stuck in native code.
"""

import faulthandler
import json
import logging
import math
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psutil

from curation.contract.errors import BackendUnavailableError, ModelError, StorageError, UsageError, VideoError
from curation.contract.logs import log_context
from curation.contract.manifest import RunFolder
from curation.engine.bounds import Bounds
from curation.engine.config import OnError
from curation.engine.shards import Item, ItemReport, Shard
from curation.models.usage import take_counts

logger = logging.getLogger(__name__)

T = TypeVar("T")

# What only the item itself can cause, a hang or too much memory, is believed the second time. A worker that was killed
# may have been so by anything (another program's memory, a node that went), so that takes more.
_LIMITS = {"hung": 2, "took too much memory": 2, "crashed": 5}
_FOLDER = "ledger/attempts"
_SETTLED = "settled"  # in place of a session: the causes are complete
_LOOK_S = 0.2
_GRACE_S = 30.0  # for the thread to act before the watchdog in C, which cannot say why


def guarded(
    run: RunFolder,
    pass_name: str,
    report: ItemReport,
    bounds: Bounds,
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
        where = log_context(run=run.uri, stage=pass_name, item=report.item_id)
        with where, attempt(run, pass_name, report.item_id, bounds):
            return work()
    except BackendUnavailableError as error:  # no item can be done without it
        report.state = "failed"
        report.detail = report.stop = str(error)
    except (UsageError, VideoError) as error:  # what was asked for cannot be done with this item
        report.state, report.detail = "failed", str(error)
    except ModelError as error:
        report.state, report.detail = "failed", str(error)
        note_model_error(report, error, on_error)
    except StorageError as error:
        report.state, report.detail = "unfinished", str(error)
    except Exception as error:
        logger.debug("internal error", exc_info=True)
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


def take_suspects(run: RunFolder, pass_name: str, shard: Shard, bounds: Bounds) -> tuple[list[Item], list[Item]]:
    """Items to work on now, and those that may have taken down the worker before and are to be retried on their own.

    Where it died over the shard as a whole (see `Labeller._answers`), that may have been any of them.
    """
    items = list(shard.items)
    if len(items) == 1:
        return items, []
    notes = set(run.files(_FOLDER, ""))
    whole = _note_name(pass_name, shard.name)
    suspects = [item for item in items if not item.settled and notes & {whole, _note_name(pass_name, item.item_id)}]
    for name in {_note_name(pass_name, item.item_id) for item in suspects} & notes:
        _write_note(run, name, _earlier_causes(run, name, bounds.session), _SETTLED)
    return [item for item in items if item not in suspects], suspects


@contextmanager
def attempt(run: RunFolder, pass_name: str, item_id: str, bounds: Bounds) -> Iterator[None]:
    """Guard the work on one item, or on a shard as a whole.

    Raises:
        VideoError: the item has taken down its worker too often.
    """
    name = _note_name(pass_name, item_id)
    causes = _earlier_causes(run, name, bounds.session)
    for cause, limit in _LIMITS.items():
        if causes.count(cause) >= limit:
            run.delete(name)
            raise VideoError(f"its worker {cause} {limit} times in the {pass_name} pass; not tried again")
    _write_note(run, name, causes, bounds.session)
    if bounds.deadline_s is not None:
        faulthandler.dump_traceback_later(bounds.deadline_s + _GRACE_S, exit=True)
    try:
        with _bounded(run, name, causes, bounds):
            yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        run.delete(name)


def items_in_work(run: RunFolder) -> list[tuple[str, float]]:
    """`pass: item` and since when (s since the epoch), longest first; of a dead run, what it died over."""
    found = []
    for file in run.files(_FOLDER, ""):
        pass_name, _, item = file.rpartition("/")[2].partition("-")
        try:
            found.append((f"{pass_name}: {item}", float(json.loads(run.read_bytes(file))["started"])))
        except FileNotFoundError:  # done since
            continue
    return sorted(found, key=lambda entry: entry[1])


def _note_name(pass_name: str, item_id: str) -> str:
    return f"{_FOLDER}/{pass_name}-{item_id}"


def _write_note(run: RunFolder, name: str, causes: list[str], session: str) -> None:
    run.write_bytes(name, json.dumps({"causes": causes, "session": session, "started": time.time()}).encode())


def _earlier_causes(run: RunFolder, name: str, session: str) -> list[str]:
    """How this item took down its worker so far; a note that the worker itself did not settle tells of a crash."""
    if not run.exists(name):
        return []
    note = json.loads(run.read_bytes(name))
    return [*note["causes"], "crashed"] if note["session"] == session else note["causes"]


@contextmanager
def _bounded(run: RunFolder, name: str, causes: list[str], bounds: Bounds) -> Iterator[None]:
    """End this process when the item takes too long or too much: better it than whatever the kernel picks."""
    if bounds.deadline_s is None and bounds.memory_bytes is None:
        yield
        return
    done, own, began = threading.Event(), psutil.Process(), time.monotonic()
    deadline_s, memory_bytes = bounds.deadline_s or math.inf, bounds.memory_bytes or math.inf

    def watch() -> None:
        while not done.wait(_LOOK_S):
            held, took = own.memory_info().rss, time.monotonic() - began
            cause = "took too much memory" if held > memory_bytes else "hung" if took > deadline_s else None
            if cause:
                logger.error("%s: its worker %s (%.0f s, %d MB) and is ended", name, cause, took, held >> 20)
                _write_note(run, name, [*causes, cause], _SETTLED)
                os._exit(1)

    thread = threading.Thread(target=watch, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
