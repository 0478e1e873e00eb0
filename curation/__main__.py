"""`python -m curation`: the command line. Heavy modules are imported inside the commands, so --help is instant."""

from pathlib import Path
from typing import Annotated

import typer

from curation.contract.command_line import SetOption, VerboseOption, command_app, run_command, set_up_logging
from curation.contract.errors import UsageError

app = command_app(
    "curation", "Curate videos in which objects enter and leave the frame: videos in, Parquet manifests out."
)

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Run folder: a path or s3:// / gs:// URI.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="F.yaml", help="YAML with changes to the preset.")
]


@app.command()
def run(
    input: Annotated[str, typer.Option(metavar="DIR_OR_URI", help="Folder of videos, one video, or an URI.")],
    output: Annotated[str, typer.Option(metavar="RUN", help="Run folder to make, or to go on with.")],
    preset: Annotated[
        str | None,
        typer.Option(help="laptop, full, commercial or everything; default: what F.yaml names, else laptop."),
    ] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    refit: Annotated[bool, typer.Option(help="Fit rank thresholds anew instead of reusing the stored ones.")] = False,
    max_failed: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Stop when more fail: 5% of the videos, or a number of them.")
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """The whole pipeline. Run it again to resume, to add files, or to apply another config."""
    set_up_logging(verbose)
    from curation.config import load_config
    from curation.engine.run import run_curation

    overrides = [*(set_ or []), *([f"engine.max_failed='{max_failed}'"] if max_failed else [])]
    run_curation(input, output, load_config(preset, config, overrides), refit=refit)


@app.command()
def select(
    run: RunArgument,
    set_: SetOption = None,
    refit: Annotated[bool, typer.Option(help="Fit rank thresholds anew instead of reusing the stored ones.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Apply other thresholds to scores that are already there. Opens no video."""
    set_up_logging(verbose)
    from curation.engine.run import select_again

    select_again(run, set_ or [], refit=refit)


@app.command()
def status(run: RunArgument, verbose: VerboseOption = False) -> None:
    """Say how far a run is, from any terminal that sees its folder, while it works or afterwards."""
    set_up_logging(verbose)
    from curation.engine.status import print_status

    print_status(run)


@app.command()
def report(
    run: RunArgument,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Default: RUN/report.html.")] = None,
    verbose: VerboseOption = False,
) -> None:
    """Write one self-contained HTML page: funnel, histograms, contact sheets of samples and drops."""
    set_up_logging(verbose)
    from curation.report.page import write_report

    typer.echo(f"report: {write_report(run, output)}")


@app.command()
def inspect(
    run: RunArgument,
    manifest: Annotated[str | None, typer.Argument(metavar="[MANIFEST]", help="One manifest; default: all.")] = None,
    rows: Annotated[int, typer.Option(help="How many rows.")] = 20,
    columns: Annotated[bool, typer.Option("--columns", help="Show what each column means.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Show manifests as tables in the terminal."""
    set_up_logging(verbose)
    from curation.report.inspect import inspect as show

    show(run, manifest, rows=rows, columns=columns)


@app.command()
def preview(
    run: RunArgument,
    sample_id: Annotated[str, typer.Argument(metavar="SAMPLE_ID")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="F.mp4", help="Where to write the video.")],
    verbose: VerboseOption = False,
) -> None:
    """Write one sample as a video with its tracks, masks, region box and events drawn in."""
    set_up_logging(verbose)
    from curation.report.preview import write_preview

    write_preview(run, sample_id, output)
    typer.echo(f"preview: {output}")


@app.command()
def doctor(
    preset: Annotated[
        str | None, typer.Option(help="Whose backends to look at; default: what F.yaml names, else full.")
    ] = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    fetch: Annotated[
        str | None, typer.Option(metavar="PRESET", help="Download all weights that this preset lacks here.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where --fetch puts them; default: the Hugging Face cache.")
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Say which backends, weights, devices and codecs work here, and how to get the rest."""
    set_up_logging(verbose)
    if to and not fetch:
        raise UsageError("--to says where --fetch PRESET puts weights; name the preset")
    if fetch:
        from curation.backends import chosen
        from curation.config import load_config
        from curation.fetch import fetch as download

        choices = chosen(load_config(fetch, config, set_ or []))
        raise typer.Exit(download(choices, folder=to))
    from curation.doctor import doctor as examine

    raise typer.Exit(examine(preset or (None if config else "full"), config, set_ or []))


def main() -> None:
    run_command(app)


if __name__ == "__main__":
    main()
