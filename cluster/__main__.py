"""`python -m cluster`: the command line. Heavy modules are imported inside the commands, so --help is instant."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from curation.contract.command_line import VerboseOption, command_app, run_command, set_up_logging

app = command_app("cluster", "Run the project's commands on a Ray cluster.")


@app.callback()
def main_options() -> None:
    """Keeps `submit` a command of its own while there is only one."""


@app.command()
def submit(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="What runs on the cluster.")],
    address: Annotated[
        str | None,
        typer.Option(envvar="RAY_ADDRESS", metavar="URL", help="The head's dashboard, e.g. http://head:8265."),
    ] = None,
    working_dir: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Code to upload. What .gitignore names, media, weights and big files stay."),
    ] = Path(),
    verbose: VerboseOption = False,
) -> None:
    """Run a command as a Ray job, follow its logs, and exit with its exit code.

    Example: python -m cluster submit -- python -m training run --ray-workers 8 ... --output /shared/run
    """
    set_up_logging(verbose)
    from cluster.submit import submit_job

    sys.exit(submit_job(command, address, working_dir))


def main() -> None:
    run_command(app)


if __name__ == "__main__":
    main()
