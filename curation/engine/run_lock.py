"""One run at a time in a run folder: `RUN/running.json` names its owner, who says every few seconds that it lives.

Object stores have no exclusive creation through pyarrow. So the owner writes, waits, and reads its own token back: of
two that start together, the later writer wins and the other one reads a token that is not its own. Should both get past
that, the loser notices at its next heartbeat, and workers compare tokens before they commit.
"""

import getpass
import json
import logging
import secrets
import socket
import threading
import time
from dataclasses import asdict, dataclass
from types import TracebackType

import psutil

from curation.contract.errors import CurationError, UsageError
from curation.contract.manifest import RunFolder

logger = logging.getLogger(__name__)

FILE = "running.json"
_BEAT_S = 10.0
# A heart that has missed a dozen beats has stopped; clocks of machines differ by less.
STALE_S = 120.0
_SETTLE_S = 0.5


@dataclass
class Running:
    """Who works on a run folder, and how far it is: what `RUN/running.json` holds.

    Attributes:
        token: tells owners apart.
        user, host, pid, pid_started: the process; its start (s since the epoch), since numbers are used again.
        started, heartbeat: s since the epoch.
        pass_name: pass at work; empty between passes.
        items, done, failed: of this pass and this run: to do, committed, and those of them that failed.
        pass_started: s since the epoch.
    """

    token: str
    user: str
    host: str
    pid: int
    pid_started: float
    started: float
    heartbeat: float
    pass_name: str = ""
    items: int = 0
    done: int = 0
    failed: int = 0
    pass_started: float = 0.0

    @property
    def who(self) -> str:
        return f"{self.user}@{self.host}, process {self.pid}"

    def why_dead(self) -> str | None:
        """How we know that it does not work any more; None when it seems to."""
        if self.host == socket.gethostname() and not _is_running(self.pid, self.pid_started):
            return "that process is gone"
        silent = time.time() - self.heartbeat
        return f"no sign of life for {silent:.0f} s" if silent > STALE_S else None


def read_running(run: RunFolder) -> Running | None:
    """The owner of a run folder, alive or not; None when nobody has it."""
    try:
        return Running(**json.loads(run.read_bytes(FILE)))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise CurationError(
            f"{run.path(FILE)}: not written by this version ({error}); delete it if nobody runs"
        ) from None


def check_owner(run: RunFolder, token: str) -> None:
    """Refuse to write for a run that has lost its folder.

    Raises:
        CurationError: another run has taken over.
    """
    owner = read_running(run)
    if owner is None or owner.token != token:
        now = f"belongs to {owner.who}" if owner else "was given up"
        raise CurationError(f"{run.uri}: the run folder now {now}; this run stops without writing more")


class RunLock:
    """Holds a run folder while the context lasts.

    Attributes:
        state: what the next heartbeat will say; see `note`.
    """

    def __init__(self, run: RunFolder, beat_s: float = _BEAT_S) -> None:
        own, now = psutil.Process(), time.time()
        self.run = run
        self.state = Running(
            secrets.token_hex(8), getpass.getuser(), socket.gethostname(), own.pid, own.create_time(), now, now
        )
        self._beat_s = beat_s
        self._ended = threading.Event()
        self._lost: CurationError | None = None
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    @property
    def token(self) -> str:
        return self.state.token

    def __enter__(self) -> "RunLock":
        """
        Raises:
            CurationError: somebody else has it and is alive.
            UsageError: the folder cannot be written.
        """
        before = read_running(self.run)
        if before is not None:
            why = before.why_dead()
            if why is None:
                seen = max(0.0, time.time() - before.heartbeat)
                raise CurationError(
                    f"{self.run.uri}: another run is at work here ({before.who}, last sign of life {seen:.0f} s ago); "
                    f"wait for it or stop it, or watch it: python -m curation status {self.run.uri}"
                )
            logger.warning(
                "an earlier run (%s) ended without a word: %s; going on from what it committed", before.who, why
            )
        try:
            self._write()
        except OSError as error:
            raise UsageError(f"{self.run.uri}: cannot write there ({error}); name another --output") from None
        time.sleep(_SETTLE_S)
        check_owner(self.run, self.token)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if self._lost is None:
            self.run.delete(FILE)

    def note(self, **changes: str | float) -> None:
        """Change what heartbeats say, fields of `Running`.

        Raises:
            CurationError: another run has taken over.
        """
        if self._lost:
            raise self._lost
        for name, value in changes.items():
            setattr(self.state, name, value)

    def _beat(self) -> None:
        while not self._ended.wait(self._beat_s):
            try:
                check_owner(self.run, self.token)
                self._write()
            except CurationError as error:
                self._lost = error
                return
            except OSError as error:  # the run itself will meet it too
                logger.warning("no heartbeat: %s", error)

    def _write(self) -> None:
        self.state.heartbeat = time.time()
        self.run.write_bytes(FILE, json.dumps(asdict(self.state), indent=1).encode())


def _is_running(pid: int, started: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - started) < 1.0
    except psutil.NoSuchProcess:
        return False
