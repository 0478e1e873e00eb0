"""`python -m eval labels`: make labelled clips, and score curation's labels on them."""

from pathlib import Path
from typing import Annotated

import typer

from curation.contract.command_line import SetOption, VerboseOption, command_app, set_up_logging

app = command_app("labels", "Labelled clips, and how right curation's labels are.")


@app.command()
def make(
    output: Annotated[Path, typer.Argument(metavar="DATA", help="Folder for the data set; made if absent.")],
    seed: Annotated[int, typer.Option(help="Another seed gives other clips of the same kinds.")] = 0,
    clips: Annotated[int, typer.Option(min=1, help="36 hold every kind at least once.")] = 36,
    verbose: VerboseOption = False,
) -> None:
    """Render clips with exact truth. Run it again to go on where it was stopped."""
    set_up_logging(verbose)
    from eval.labels.make import make_data

    make_data(output, seed, clips)


@app.command()
def run(
    data: Annotated[list[Path], typer.Option(metavar="DIR", help="Labelled data, ours or real. Repeatable.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="Runs, scores.json, report.html.")],
    preset: Annotated[str, typer.Option(help="Preset of curation.")] = "everything",
    set_: SetOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Curate labelled data and score the labels: a table, scores.json, and a page with the worst cases."""
    set_up_logging(verbose)
    from eval.labels.run import run_labels

    run_labels(data, output, preset, set_ or [])
