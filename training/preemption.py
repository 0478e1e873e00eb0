"""A notice before the machine goes away: SIGTERM or SIGUSR1 asks for a checkpoint after the present step."""

import signal
from types import FrameType, TracebackType
from typing import Self

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Preemption:
    """As a context: inside, both signals set `notice` and do nothing else; handlers are put back after."""

    notice: signal.Signals | None = None

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._take) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.notice = signal.Signals(number)
