"""Log lines that say where they belong: run, stage and item, as text for a person or as JSON lines for a machine.

`LOG_FORMAT=json` in the environment of a command switches to JSON, for its workers on other machines too.
"""

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

FIELDS = ("run", "stage", "item")
_context: ContextVar[dict[str, str]] = ContextVar("log_context", default={})  # noqa: B039 - never changed in place


@dataclass(frozen=True)
class LogSetup:
    """How a process logs; travels to workers."""

    level: int = logging.WARNING
    as_json: bool = False


_setup = LogSetup()


def start_logging(level: int) -> None:
    """Log to stderr from `level` on, in the format that LOG_FORMAT names."""
    apply_logging(LogSetup(level, os.environ.get("LOG_FORMAT", "").lower() == "json"))


def apply_logging(setup: LogSetup) -> None:
    """Log as another process does. Does nothing when this one does so already."""
    global _setup
    root = logging.getLogger()
    if any(isinstance(handler, _Stderr) for handler in root.handlers) and setup == _setup:
        return
    _setup = setup
    for handler in [handler for handler in root.handlers if isinstance(handler, _Stderr)]:
        root.removeHandler(handler)
    handler = _Stderr()
    handler.addFilter(_add_fields)
    handler.setFormatter(_JsonLines() if setup.as_json else _Text("%(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    root.setLevel(setup.level)


def current_logging() -> LogSetup:
    return _setup


@contextmanager
def log_context(**fields: str) -> Iterator[None]:
    """Everything logged inside carries these of FIELDS."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what sys.stderr is at that moment: progress bars put themselves there."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # pyright: ignore[reportIncompatibleVariableOverride]
        return sys.stderr


def _add_fields(record: logging.LogRecord) -> bool:
    for name in FIELDS:
        if not hasattr(record, name):
            setattr(record, name, _context.get().get(name, ""))
    return True


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        where = " ".join(f"{name}={getattr(record, name)}" for name in FIELDS[1:] if getattr(record, name))
        return super().format(record) + (f" [{where}]" if where else "")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            **{name: getattr(record, name) for name in FIELDS if getattr(record, name)},
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)
