"""`python -m eval`: the command line. Heavy modules are imported inside the commands, so --help is instant."""

import typer

from curation.contract.command_line import run_command
from eval.labels.command import app as labels

app = typer.Typer(
    name="eval",
    help="How right labels and generated videos are.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(labels, name="labels")


@app.callback()
def _eval() -> None:
    """How right labels and generated videos are."""


def main() -> None:
    run_command(app)


if __name__ == "__main__":
    main()
