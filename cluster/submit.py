"""One Ray job from here: upload the code, start the command, follow its logs, return its exit code."""

import asyncio
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import typer
from ray.exceptions import AuthenticationError
from ray.job_submission import JobStatus, JobSubmissionClient

from cluster.upload import exclude_patterns
from curation.contract.errors import CurationError, UsageError

_INTERRUPTED = 130


def submit_job(command: Sequence[str], address: str | None, working_dir: Path) -> int:
    """Run `command` on the cluster at `address` (None: the one of this machine), and wait for its end.

    Ctrl-C asks whether to stop the job; without a terminal to ask on, the job goes on.

    Returns:
        The command's exit code; 130 after Ctrl-C.

    Raises:
        UsageError: `working_dir` is no folder.
        CurationError: the cluster cannot be reached, refuses, or ended the job without an exit code.
    """
    if not working_dir.is_dir():
        raise UsageError(f"--working-dir {working_dir}: there is no such folder")
    folder = working_dir.absolute()
    try:
        client = JobSubmissionClient(address)
        job = client.submit_job(
            entrypoint=shlex.join(command),
            runtime_env={"working_dir": str(folder), "excludes": exclude_patterns(folder)},
        )
    except AuthenticationError as error:
        raise CurationError(
            f"{_name(address)} refuses: its head wants a token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
        ) from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise CurationError(
            f"{_name(address)}: {said} Name the head's dashboard: --address http://HEAD:8265"
        ) from error
    typer.echo(f"job {job} on {client.get_address()}: {shlex.join(command)}", err=True)
    try:
        asyncio.run(_follow(client, job))
    except KeyboardInterrupt:
        _ask_to_stop(client, job)
        return _INTERRUPTED
    return _exit_code(client, job)


async def _follow(client: JobSubmissionClient, job: str) -> None:
    """Print the job's output until it has ended."""
    async for lines in client.tail_job_logs(job):
        typer.echo(lines, nl=False)
    while not client.get_job_status(job).is_terminal():  # the output can end before the status says so
        await asyncio.sleep(0.2)


def _exit_code(client: JobSubmissionClient, job: str) -> int:
    info = client.get_job_info(job)
    if info.status == JobStatus.SUCCEEDED:
        return 0
    if not info.driver_exit_code:  # it never started, or was stopped by someone else
        raise CurationError(f"job {job}: {info.status.value}: {info.message}")
    return info.driver_exit_code


def _ask_to_stop(client: JobSubmissionClient, job: str) -> None:
    if sys.stdin.isatty() and typer.confirm(f"\nstop job {job} on the cluster too?", err=True):
        client.stop_job(job)
        typer.echo(f"job {job} is being stopped", err=True)
    else:
        typer.echo(f"job {job} goes on; stop it by: ray job stop {job}", err=True)


def _name(address: str | None) -> str:
    return address or "the Ray cluster of this machine"
