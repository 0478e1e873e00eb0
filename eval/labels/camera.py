"""The camera of a rendered scene: a similarity from world to frame, one per frame."""

from dataclasses import dataclass

import numpy as np

from curation.contract.ids import generator
from eval.labels.motion import RESTING, Path, wobble


@dataclass(frozen=True)
class Camera:
    """World and frame coincide while the path is at (0, 0), angle 0, scale 1.

    Attributes:
        path: where the camera looks, as an offset of the frame's centre in world px; angle rolls the camera
            clockwise (the picture turns the other way), scale 2 shows everything twice as large.
        shake_px: root mean square of the handheld wobble along each axis, world px.
        shake_deg: the same for roll, degrees.
        shake_period: frames that the slowest swing of the hand lasts.
    """

    path: Path = RESTING
    shake_px: float = 0.0
    shake_deg: float = 0.0
    shake_period: float = 30.0

    def matrices(self, times: np.ndarray, width: int, height: int, seed: int, parallax: float = 1.0) -> np.ndarray:
        """float64 [N, 3, 3], world px to frame px, at `times` [N] in frames.

        Args:
            parallax: how much faster a layer passes than the background when the camera moves sideways; the layers
                coincide where the camera is at (0, 0).
        """
        states = self.path.at(times)
        for column, amplitude in enumerate((self.shake_px, self.shake_px, self.shake_deg)):
            if amplitude:
                swing = wobble(times, self.shake_period, generator(seed, "shake", str(column)))
                states[:, column] += amplitude * swing
        states[:, :2] *= parallax
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        matrices = np.tile(np.eye(3), (len(times), 1, 1))
        for matrix, (x, y, angle, scale) in zip(matrices, states, strict=True):
            turn = np.deg2rad(-angle)
            cos, sin = scale * np.cos(turn), scale * np.sin(turn)
            linear = np.array([[cos, -sin], [sin, cos]])
            matrix[:2, :2] = linear
            matrix[:2, 2] = centre - linear @ (centre + np.array([x, y]))
        return matrices


TRIPOD = Camera()
