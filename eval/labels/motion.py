"""Where a thing is over time: keyframes with straight lines between them, and the wobble of a hand."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Key(NamedTuple):
    """Position (x, y) in world px, angle in degrees clockwise on screen, and scale, at one frame."""

    frame: float
    x: float
    y: float
    angle: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class Path:
    """Piecewise linear motion through keys, held before the first and after the last.

    Attributes:
        keys: at least one, in order of frames.
        ease: corners are rounded over this many frames to either side; 0 keeps them sharp.
    """

    keys: tuple[Key, ...]
    ease: float = 0.0

    def at(self, times: np.ndarray) -> np.ndarray:
        """float64 [N, 4] of (x, y, angle, scale) at `times` [N], in frames."""
        if not self.ease:
            return self._linear(times)
        offsets = np.linspace(-1.0, 1.0, 11)[1:-1]
        weights = 0.5 + 0.5 * np.cos(np.pi * offsets)
        weights /= weights.sum()
        parts = [w * self._linear(times + o * self.ease) for o, w in zip(offsets, weights, strict=True)]
        return np.sum(parts, axis=0)

    def _linear(self, times: np.ndarray) -> np.ndarray:
        keys = np.array(self.keys, dtype=np.float64)
        return np.stack([np.interp(times, keys[:, 0], keys[:, column]) for column in range(1, 5)], axis=1)


def line(start: tuple[float, float], end: tuple[float, float], first: float, last: float) -> Path:
    """Constant speed from `start` at frame `first` to `end` at frame `last`."""
    return Path((Key(first, *start), Key(last, *end)))


def still(x: float, y: float) -> Path:
    return Path((Key(0, x, y),))


RESTING = still(0, 0)


def wobble(times: np.ndarray, period: float, rng: np.random.Generator) -> np.ndarray:
    """float64 [N], smooth noise of zero mean and unit root mean square whose slowest swing lasts about `period` frames.

    Six sines whose amplitude falls with frequency, as hand tremor does.
    """
    frequencies = rng.uniform(0.8, 1.2, 6) * np.array([0.6, 1.0, 1.5, 2.2, 3.1, 4.5]) / period
    phases = rng.uniform(0, 2 * np.pi, 6)
    amplitudes = 1.0 / frequencies
    amplitudes /= np.sqrt((amplitudes**2).sum() / 2)
    return (amplitudes * np.sin(2 * np.pi * times[:, None] * frequencies + phases)).sum(axis=1)
