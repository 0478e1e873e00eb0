"""`python -m eval`: the command line. Heavy modules are imported inside the commands, so --help is instant."""

from pathlib import Path
from typing import Annotated

import typer

from curation.contract.command_line import SetOption, VerboseOption, command_app, run_command, set_up_logging
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


@app.command()
def run(
    generations: Annotated[
        str, typer.Option(metavar="GEN", help="Output of `inference batch`, or a folder of SAMPLE_ID.mp4.")
    ],
    output: Annotated[str, typer.Option("-o", "--output", metavar="SCORES", help="Folder to make, or to go on with.")],
    samples: Annotated[
        str | None, typer.Option(metavar="BENCH", help="Benchmark or run with the samples, if GEN does not say.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="In reports. Default: the output folder's.")] = None,
    preset: Annotated[
        str, typer.Option(help="embedded (a laptop's CPU) or full (the published protocol).")
    ] = "embedded",
    config: Annotated[Path | None, typer.Option("--config", metavar="F.yaml", help="Changes to the preset.")] = None,
    set_: SetOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Score generated videos on Ray, and print the table. Run it again to go on where it was stopped."""
    set_up_logging(verbose)
    from eval.config import load_config

    resolved = load_config(preset, config, set_ or [])  # before the rest: mistakes show at once
    from eval.run import run_evaluation

    failed = run_evaluation(generations, output, resolved, name, samples)
    from eval.report.tables import print_tables
    from eval.summary import read_scores

    print_tables([read_scores(output)])
    raise typer.Exit(1 if failed else 0)


@app.command()
def report(
    scores: Annotated[list[str], typer.Argument(metavar="SCORES...", help="Outputs of `eval run`, any number.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for report.html, report.md and report.tex.")
    ],
    verbose: VerboseOption = False,
) -> None:
    """Compare runs: tables with the published numbers beside them, distributions, players of best and worst cases."""
    set_up_logging(verbose)
    from eval.report.write import write_reports

    write_reports(scores, output)


def main() -> None:
    run_command(app)


if __name__ == "__main__":
    main()
