"""`python -m cluster`: the command line. Heavy modules are imported inside the commands, so --help is instant."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from curation.contract.command_line import SetOption, VerboseOption, command_app, run_command, set_up_logging
from curation.contract.errors import UsageError

app = command_app("cluster", "Run the project's commands on a Ray cluster.")
render = command_app(
    "render", "Print a cluster for Kubernetes, a cloud or Slurm, from one spec: see cluster/cluster.yaml."
)
app.add_typer(render)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="F.yaml", help="The cluster; default: cluster/cluster.yaml's values.")
]
OutputOption = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Default: print it.")]


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


@render.command()
def kuberay(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND", help="What the job runs; none for a cluster alone.")
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = None,
) -> None:
    """A RayJob that makes a cluster, runs COMMAND and takes it down; without COMMAND a RayCluster to submit to.

    Example: python -m cluster render kuberay -o job.yaml -- python -m curation run --input s3://b/in --output s3://b/run
    """
    from cluster.render.kuberay import render_kuberay
    from cluster.spec import read_spec

    _put(render_kuberay(read_spec(config, overrides or []), command or []), output)


@render.command()
def ray_up(config: ConfigOption = None, overrides: SetOption = None, output: OutputOption = None) -> None:
    """A cluster file for `ray up` on AWS or Google Cloud.

    Example: python -m cluster render ray-up --set cloud.machine_image=ami-... -o aws.yaml
    """
    from cluster.render.ray_up import render_ray_up
    from cluster.spec import read_spec

    _put(render_ray_up(read_spec(config, overrides or [])), output)


@render.command()
def slurm(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="What the job runs.")],
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = None,
) -> None:
    """A batch script for `sbatch` that starts Ray, runs COMMAND on it and takes it down.

    Example: python -m cluster render slurm -o job.sh -- python -m curation run --input /data/in --output /data/run
    """
    from cluster.render.slurm import render_slurm
    from cluster.spec import read_spec

    _put(render_slurm(read_spec(config, overrides or []), command), output)


def _put(text: str, output: Path | None) -> None:
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"-o {output}: cannot be written: {error.strerror}; name a file in a folder that exists"
        ) from None


def main() -> None:
    run_command(app)


if __name__ == "__main__":
    main()
