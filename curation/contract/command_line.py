"""What the command lines of all packages share: logging, and errors as one line with an exit code."""

import logging
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from curation.contract.errors import CurationError, UsageError
from curation.contract.logs import start_logging

_INTERRUPTED = 130  # typer turns Ctrl-C into this exit code before it gets here
_verbose = False

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="a.b=c", help="Change one config value, e.g. rules.text_area.max=0.2. Repeatable."),
]
VerboseOption = Annotated[bool, typer.Option("-v", "--verbose", help="Say more, with tracebacks on errors.")]


def command_app(name: str, help: str) -> typer.Typer:
    """A typer app that looks and fails like the others; it prints its help when called without a command."""
    return typer.Typer(
        name=name,
        help=help,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def set_up_logging(verbose: bool) -> None:
    """Log warnings, or more with -v; then errors come with a traceback too."""
    global _verbose
    start_logging(logging.INFO if verbose else logging.WARNING)
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
