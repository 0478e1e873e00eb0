"""A notice before the machine goes away: SIGTERM or SIGUSR1 asks for a checkpoint after the present step."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Preemption:
    """As a context: inside, both signals set `notice` and do nothing else; handlers are put back after.

    In a worker of Ray Train, where training is not the main thread, signals stay Ray's: it ends the worker, and starts
    it again elsewhere from the newest checkpoint.
    """

    notice: signal.Signals | None = None

    def __enter__(self) -> Self:
        ours = SIGNALS if threading.current_thread() is threading.main_thread() else ()
        self._before = {number: signal.signal(number, self._take) for number in ours}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.notice = signal.Signals(number)
