"""A generation in a thread of its own, so that the page can follow it and stop it."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from inference.app.models_here import ModelsHere
from inference.generate import Generation, GenerationCancelledError, generate
from inference.loading import cached_model
from inference.request import Request

_LOOK_EVERY_S = 0.1


@dataclass(frozen=True)
class Progress:
    """How far a generation is.

    Attributes:
        done, steps: denoising steps; steps is 0 while the model loads.
        stopping: somebody said stop; the step under way is finished first.
        seconds: since the job began.
    """

    done: int
    steps: int
    stopping: bool
    seconds: float


class Job:
    """Runs one generation; iterate over `progress` until it ends, then take `result`.

    Args:
        stop: ends it after the step under way, or before it begins.
    """

    def __init__(self, request: Request, models: ModelsHere, stop: threading.Event) -> None:
        self._request = request
        self._models = models
        self._stop = stop
        self._steps: tuple[int, int] = (0, 0)
        self._made: Generation | None = None
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def progress(self) -> Iterator[Progress]:
        """How far it is, whenever that has changed. When nobody listens any more (a closed page), it stops."""
        started = time.monotonic()
        self._thread.start()
        shown: tuple[int, int, bool] | None = None
        try:
            while self._thread.is_alive():
                now = (*self._steps, self._stop.is_set())
                if now != shown:
                    shown = now
                    yield Progress(*shown, time.monotonic() - started)
                self._thread.join(_LOOK_EVERY_S)
        finally:
            if self._thread.is_alive():
                self._stop.set()

    def result(self) -> Generation:
        """What was generated.

        Raises:
            GenerationCancelledError: it was stopped.
            Exception: whatever else ended it.
        """
        if self._failed is not None:
            raise self._failed
        assert self._made is not None, "asked for before the end"
        return self._made

    def _run(self) -> None:
        try:
            config = self._models.config_of(self._request.model)
            model = cached_model(self._request.model, config)  # pyright: ignore[reportArgumentType] - frozen: it hashes
            if self._stop.is_set():
                raise GenerationCancelledError("stopped before its first step")
            self._made = generate(self._request, model, self._step, self._stop.is_set)
        except Exception as error:  # noqa: BLE001 - handed to whoever asks for the result
            self._failed = error

    def _step(self, done: int, steps: int) -> None:
        self._steps = (done, steps)
