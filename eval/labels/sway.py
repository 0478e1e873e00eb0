"""How a non-rigid thing bends: two shears whose size swings along the other axis and in time.

Each shear moves points along one axis by an amount that depends on the other coordinate alone, so it is undone exactly:
the true track of any surface point is known.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sway:
    """In the sprite's own px, before it is turned and scaled.

    Attributes:
        across, along: largest displacement in x and in y, px.
        waves_x, waves_y: displacement in x swings this many times per px of y, and that in y per px of x.
        period: frames per swing.
        phase: of the swing, radians.
    """

    across: float = 0.0
    along: float = 0.0
    waves_x: float = 0.0
    waves_y: float = 0.0
    period: float = 24.0
    phase: float = 0.0

    @property
    def rigid(self) -> bool:
        return self.across == 0 and self.along == 0

    def bend(self, points: np.ndarray, times: np.ndarray | float) -> np.ndarray:
        """Points float64 [..., 2] of the resting sprite to where they are at `times`, which broadcast with [...]."""
        x = points[..., 0] + self._across(points[..., 1], times)
        y = points[..., 1] + self._along(x, times)
        return np.stack([x, y], axis=-1)

    def unbend(self, points: np.ndarray, times: np.ndarray | float) -> np.ndarray:
        """The inverse of `bend`, exact."""
        y = points[..., 1] - self._along(points[..., 0], times)
        x = points[..., 0] - self._across(y, times)
        return np.stack([np.broadcast_to(x, y.shape), y], axis=-1)

    def _across(self, y: np.ndarray, times: np.ndarray | float) -> np.ndarray:
        return self.across * np.sin(2 * np.pi * (self.waves_x * y + np.asarray(times) / self.period) + self.phase)

    def _along(self, x: np.ndarray, times: np.ndarray | float) -> np.ndarray:
        return self.along * np.sin(2 * np.pi * (self.waves_y * x + 1.3 * np.asarray(times) / self.period) + self.phase)


RIGID = Sway()
