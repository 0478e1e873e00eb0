"""`python -m curation status RUN`: who works on a run, how far it is, what is in work, what failed.

Reads what the run writes down anyway: its heartbeat, the ledger, the notes of items in work.
"""

import json
import sys
import time

import polars as pl
from rich.console import Console
from rich.table import Table

from curation.contract.manifest import RunFolder, open_run
from curation.engine import analyse, label
from curation.engine.attempts import items_in_work
from curation.engine.ledger import Ledger
from curation.engine.run_lock import Running, read_running
from curation.engine.shards import BAD

_SHOWN = 10


def print_status(run_uri: str) -> None:
    """Print it on stdout.

    Raises:
        UsageError: there is no run at that place.
    """
    run = open_run(run_uri)
    running = read_running(run)
    console = Console(file=sys.stdout, soft_wrap=True)
    console.print(_headline(run, running), markup=False, highlight=False)
    if running is not None and running.why_dead() is None and running.items:
        console.print(_progress(running), markup=False, highlight=False)
    console.print(_passes(run))
    if running is not None:
        _print_in_work(console, run)
    _print_failures(console, run)


def _headline(run: RunFolder, running: Running | None) -> str:
    if running is None:
        return f"{run.uri}: nobody works here; {_completeness(run)}"
    dead = running.why_dead()
    if dead:
        return f"{run.uri}: ended without a word ({running.who}: {dead}); run the same command again to go on"
    seen = time.time() - running.heartbeat
    since = _duration(time.time() - running.started)
    return f"{run.uri}: at work for {since} ({running.who}, last sign of life {seen:.0f} s ago)"


def _completeness(run: RunFolder) -> str:
    if not run.exists("summary.json"):
        return "not complete: run the same command again to go on"
    summary = json.loads(run.read_bytes("summary.json"))
    return f"complete: {summary['samples']} samples from {summary['videos_with_samples']} of {summary['videos']} videos"


def _progress(running: Running) -> str:
    elapsed = time.time() - running.pass_started
    line = f"{running.pass_name}: {running.done} of {running.items}, {running.failed} failed, {_duration(elapsed)}"
    if not running.done:
        return line
    left = elapsed / running.done * (running.items - running.done)
    return f"{line}, {60 * running.done / elapsed:.1f} a minute, about {_duration(left)} to go"


def _passes(run: RunFolder) -> Table:
    table = Table(title="Committed", title_justify="left")
    for column in ("pass", "videos", "failed", "skipped", "decoded frames", "work"):
        table.add_column(column, justify="left" if column == "pass" else "right")
    for name in (analyse.PASS, label.PASS):
        rows = Ledger(run, name, ()).frame(["state", "decoded_frames", "seconds"])
        states = rows["state"]
        table.add_row(
            name,
            f"{rows.height:,}",
            f"{states.is_in(BAD).sum():,}",
            f"{(states == 'skipped').sum():,}",
            f"{rows['decoded_frames'].sum():,}",
            _duration(float(rows["seconds"].sum())),
        )
    return table


def _print_in_work(console: Console, run: RunFolder) -> None:
    working = items_in_work(run)
    for name, started in working[:_SHOWN]:
        console.print(f"in work: {name}, {_duration(time.time() - started)}", markup=False, highlight=False)
    if len(working) > _SHOWN:
        console.print(f"in work: {len(working) - _SHOWN} more")


def _print_failures(console: Console, run: RunFolder) -> None:
    for name in (analyse.PASS, label.PASS):
        rows = Ledger(run, name, ()).frame(["item_id", "state", "detail"]).filter(pl.col("state").is_in(BAD))
        for item, state, detail in rows.sort("item_id").head(_SHOWN).select("item_id", "state", "detail").iter_rows():
            console.print(f"{name}: {state}: {item}: {detail}", markup=False, highlight=False)
        if rows.height > _SHOWN:
            more = f"{name}: {rows.height - _SHOWN} more; all: python -m curation inspect {run.uri} videos"
            console.print(more, markup=False, highlight=False)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
