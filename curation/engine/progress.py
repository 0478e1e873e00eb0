"""Progress of a pass: a bar on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_LOG_EVERY_S = 15.0


class Progress(Protocol):
    def advance(self, count: int, note: str = "") -> None:
        """`count` more items are done; `note` is what is worth a word about them."""
        ...


@contextmanager
def progress(title: str, total: int, unit: str) -> Iterator[Progress]:
    """Show how far a pass is. Bars go to stderr, so that piped output stays clean."""
    if sys.stderr.isatty():
        with _bar(title, total, unit) as bar:
            yield bar
        return
    lines = _Lines(title, total, unit)
    yield lines
    lines.close()


@contextmanager
def _bar(title: str, total: int, unit: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(title, total=total, note="")

        class _Bar:
            def advance(self, count: int, note: str = "") -> None:
                bars.update(task, advance=count, note=note)

        yield _Bar()


class _Lines:
    """At most one line per _LOG_EVERY_S, and one at the end."""

    def __init__(self, title: str, total: int, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done = 0
        self.started = self.printed = time.monotonic()

    def advance(self, count: int, note: str = "") -> None:
        self.done += count
        if self.done < self.total and time.monotonic() - self.printed >= _LOG_EVERY_S:
            self._print(note)

    def close(self) -> None:
        self._print("")

    def _print(self, note: str) -> None:
        self.printed = time.monotonic()
        elapsed = self.printed - self.started
        line = f"{self.title}: {self.done} of {self.total} {self.unit}, {elapsed:.0f} s"
        sys.stderr.write(f"{line}  {note}\n" if note else f"{line}\n")
        sys.stderr.flush()
