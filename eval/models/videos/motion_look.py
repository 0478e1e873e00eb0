"""A classical look of a video: the mean look of its frames, and how much moves which way. No weights."""

from itertools import pairwise

import cv2
import numpy as np

from eval.models.frames.look import Look

_SIZE = (96, 64)  # width, height of the pictures that flow is computed on
_DIRECTIONS = 8
_SPEEDS = (0.25, 1.0, 4.0)  # px per frame at that size; slower is rest


class MotionLook:
    """A `VideoFeatures`: 96 values of `Look`, then shares of pixels by speed and direction (24), 0..1."""

    name: str = "motion-look-1"

    def __init__(self) -> None:
        self._look = Look()

    def describe(self, frames: np.ndarray) -> np.ndarray:
        """See `VideoFeatures.describe`; D = 120."""
        small = [
            cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), _SIZE, interpolation=cv2.INTER_AREA) for frame in frames
        ]
        dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        counts = np.zeros(_DIRECTIONS * len(_SPEEDS))
        for before, after in pairwise(small):
            flow = dis.calc(before, after, None)  # pyright: ignore
            speed = np.searchsorted(_SPEEDS, np.hypot(flow[..., 0], flow[..., 1]), side="right") - 1
            turn = np.arctan2(flow[..., 1], flow[..., 0]) / (2 * np.pi) % 1
            direction = (turn * _DIRECTIONS).astype(np.int64) % _DIRECTIONS
            moves = speed >= 0
            counts += np.bincount((speed * _DIRECTIONS + direction)[moves], minlength=counts.size)
        motion = np.sqrt(counts / ((len(small) - 1) * small[0].size))
        return np.concatenate([self._look.describe(frames).mean(axis=0), motion]).astype(np.float32)
