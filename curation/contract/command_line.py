"""What the command lines of all packages share: logging, and errors as one line with an exit code."""

import logging
import sys
from collections.abc import Callable

import typer

from curation.contract.errors import CurationError, UsageError

_INTERRUPTED = 130  # typer turns Ctrl-C into this exit code before it gets here
_verbose = False


def set_up_logging(verbose: bool) -> None:
    """Log warnings, or more with -v; then errors come with a traceback too."""
    global _verbose
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    _verbose = verbose


def run_command(app: Callable[[], object]) -> None:
    """Run a typer app; errors become one line and an exit code: 1 the work failed, 2 bad usage or config."""
    try:
        app()
    except CurationError as error:
        if _verbose:
            logging.exception("traceback, because of -v")
        typer.echo(f"error: {error}", err=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:
            typer.echo("stopped; what is committed stays, run the same command again to go on", err=True)
        raise
