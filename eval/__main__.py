"""`python -m eval`: the command line. Heavy modules are imported inside the commands, so --help is instant."""

from typing import Annotated

import typer

from curation.contract.command_line import VerboseOption, command_app, run_command, set_up_logging
from eval.labels.command import app as labels

app = command_app("eval", "How right labels and generated videos are.")
app.add_typer(labels)


@app.command("build-benchmark")
def build_benchmark(
    source: Annotated[str, typer.Argument(metavar="RUN", help="Run folder of curation, or the published files.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="BENCH", help="Folder to make, or to go on with.")],
    per_kind: Annotated[int, typer.Option(min=1, help="Frame In samples at most, and Frame Out samples.")] = 200,
    height: Annotated[int, typer.Option(min=32, help="Of the canvas, px.")] = 448,
    width: Annotated[int, typer.Option(min=32, help="Of the canvas, px.")] = 640,
    num_frames: Annotated[int, typer.Option(min=3, help="Of a clip, at about 12 per second.")] = 49,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice among equals.")] = 0,
    verbose: VerboseOption = False,
) -> None:
    """Make a Frame In / Frame Out benchmark out of held-back videos. `inference batch` takes it as a manifest."""
    set_up_logging(verbose)
    from eval.benchmark.build import build_benchmark as build

    build(source, output, per_kind, (height, width), num_frames, seed)


def main() -> None:
    run_command(app)


if __name__ == "__main__":
    main()
