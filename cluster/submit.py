"""One Ray job from here: upload the code, start the command, follow its logs, return its exit code."""

import asyncio
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import aiohttp
import typer
from ray.exceptions import AuthenticationError
from ray.job_submission import JobStatus, JobSubmissionClient

from cluster.upload import exclude_patterns
from curation.contract.errors import CurationError, UsageError

_INTERRUPTED = 130
# From SIGTERM to SIGKILL, when a job is stopped. Ray's own 3 s are too short for a run that ends cleanly.
_STOP_SECONDS = 60
_ANSWERS: dict[str, Literal["stop", "leave", "follow"]] = {"y": "stop", "n": "leave", "k": "follow"}


def submit_job(command: Sequence[str], address: str | None, working_dir: Path) -> int:
    """Run `command` on the cluster at `address` (None: the one of this machine), and wait for its end.

    Ctrl-C asks whether to stop the job. A second one, or no terminal to ask on, lets the job go on.

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
            runtime_env={
                "working_dir": str(folder),
                "excludes": exclude_patterns(folder),
                "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_SECONDS)},
            },
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
    return _Watch(client, job).to_the_end()


class _Watch:
    """A job's output on this terminal, from its beginning, each part once however often it is interrupted."""

    def __init__(self, client: JobSubmissionClient, job: str) -> None:
        self._client, self._job = client, job
        self._shown = 0  # characters of output printed so far

    def to_the_end(self) -> int:
        """Follow the job until it ends or a person has had enough of it. Returns the exit code for this command."""
        stopping = False
        while True:
            try:
                asyncio.run(self._follow())
                return _INTERRUPTED if stopping else self._exit_code()
            except KeyboardInterrupt:
                answer = "leave" if stopping else self._ask()
            except (aiohttp.ClientError, ConnectionError, RuntimeError) as error:
                said = " ".join(str(error).split())
                raise CurationError(f"the connection to the cluster is lost ({said}); {self._goes_on()}") from error
            if answer == "leave":
                typer.echo(self._goes_on(), err=True)
                return _INTERRUPTED
            if answer == "stop":
                stopping = True
                self._client.stop_job(self._job)
                typer.echo(f"job {self._job} is being stopped, for {_STOP_SECONDS} s at most", err=True)

    async def _follow(self) -> None:
        """Print the job's output until it has ended."""
        passed = 0
        async for lines in self._client.tail_job_logs(self._job):  # from the beginning, every time
            new = lines[max(0, self._shown - passed) :]
            passed += len(lines)
            self._shown += len(new)
            typer.echo(new, nl=False)
        while not self._client.get_job_status(self._job).is_terminal():  # the output can end before the status says so
            await asyncio.sleep(0.2)

    def _ask(self) -> Literal["stop", "leave", "follow"]:
        try:
            while sys.stdin.isatty():
                said = typer.prompt(f"\nstop job {self._job} on the cluster? yes / no / keep following", err=True)
                if said[0].lower() in _ANSWERS:
                    return _ANSWERS[said[0].lower()]
        except typer.Abort:  # Ctrl-C again
            typer.echo(err=True)
        return "leave"

    def _goes_on(self) -> str:
        there = f"--address {self._client.get_address()} {self._job}"
        return f"job {self._job} goes on; follow it: ray job logs --follow {there}; stop it: ray job stop {there}"

    def _exit_code(self) -> int:
        info = self._client.get_job_info(self._job)
        if info.status == JobStatus.SUCCEEDED:
            return 0
        if not info.driver_exit_code:  # it never started, or was stopped by someone else
            raise CurationError(f"job {self._job}: {info.status.value}: {info.message}")
        return info.driver_exit_code


def _name(address: str | None) -> str:
    return address or "the Ray cluster of this machine"
