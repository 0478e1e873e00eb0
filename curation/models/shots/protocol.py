"""Shot detection: where one shot ends and the next begins."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np


@dataclass(frozen=True)
class Transition:
    """A change of shot.

    Attributes:
        kind: cut, or gradual (dissolve, fade, wipe).
        start: first frame that belongs to the change; for a cut the first frame of the new shot.
        end: one past the last mixed frame; for a cut equal to `start`. The new shot begins at `end`, the old one ends
            at `start` for gradual ones, so mixed frames belong to no shot.
        score: detector's peak score in 0..1.
    """

    kind: Literal["cut", "gradual"]
    start: int
    end: int
    score: float


class ShotPass(Protocol):
    """One video going by."""

    def add(self, frame_rgb: np.ndarray) -> None:
        """The next frame, uint8 [height, width, 3] at the detector's `frame_size`."""

    def finish(self) -> list[Transition]:
        """All transitions in order; called once, after the last frame."""
        ...


class ShotDetector(Protocol):
    name: str
    """Backend and revision, for the manifests."""
    frame_size: tuple[int, int]
    """(width, height) of the pictures it wants."""

    def start(self) -> ShotPass: ...
