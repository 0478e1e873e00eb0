"""`python -m training`: the command line. Heavy modules are imported inside the commands, so --help is instant."""

from pathlib import Path
from typing import Annotated

import typer

from curation.contract.command_line import SetOption, VerboseOption, command_app, run_command, set_up_logging

app = command_app("training", "Train video models whose objects enter and leave the frame, from curated manifests.")


ModelOption = Annotated[str, typer.Option(help="wan2.2-5b, cogvideox-5b, wan2.1-14b, tiny-wan or tiny-cogvideox.")]
StageOption = Annotated[str, typer.Option(help="motion (trajectories) or inout (region box and ID reference).")]
ManifestOption = Annotated[
    list[str] | None, typer.Option(metavar="RUN", help="Run folder of curation, a path or URI. Repeatable.")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="F.yaml", help="YAML with changes to the recipe.")
]


@app.command()
def run(
    model: ModelOption,
    stage: StageOption,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Checkpoints, metrics, videos; a rerun goes on there.")],
    manifest: ManifestOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    ray_workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Train in N workers of a Ray cluster (RAY_ADDRESS).")
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Train a model. For several GPUs: `accelerate launch -m training run ...`. Run it again to resume."""
    set_up_logging(verbose)
    from training.config import load_config

    resolved = load_config(model, stage, manifest or [], config, set_ or [])  # before torch: mistakes show at once
    if ray_workers is not None:
        from training.ray_train import run_on_ray

        run_on_ray(resolved, output, ray_workers)
        return
    from training.run import run_training

    run_training(resolved, output)


@app.command()
def precompute(
    model: ModelOption,
    stage: StageOption,
    output: Annotated[str, typer.Option(metavar="CACHE", help="Folder or URI of the cache; a rerun adds to it.")],
    manifest: ManifestOption = None,
    config: ConfigOption = None,
    set_: SetOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Encode videos, captions and ID references once, on Ray, for `run --set data.cache=CACHE`."""
    set_up_logging(verbose)
    from training.config import load_config

    resolved = load_config(model, stage, manifest or [], config, set_ or [])
    from training.cache.precompute import precompute

    precompute(resolved, output)


def main() -> None:
    run_command(app)


if __name__ == "__main__":
    main()
