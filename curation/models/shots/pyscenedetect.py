"""PySceneDetect's detectors, fed frame by frame: adaptive content for cuts, threshold for fades through black."""

from typing import Any

import cv2
import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.models.packages import revision
from curation.models.shots.protocol import Transition

_FPS = 25.0  # its frame counter wants a rate; nothing here is measured in seconds


class PySceneDetectConfig(Config):
    """The first two are PySceneDetect's own defaults for its adaptive and threshold detector."""

    adaptive_threshold: float = Field(
        default=3.0, description="change of a frame over the mean change around it; a cut above"
    )
    black_level: int = Field(default=12, description="mean RGB level below which a frame is faded out")
    min_content: float = Field(default=15.0, description="least mean HSV change of a cut, levels")
    min_shot_frames: int = Field(default=3, ge=1, description="no two cuts are closer than this")


class PySceneDetectDetector:
    """ShotDetector without a network. Dissolves and wipes are beyond it."""

    def __init__(self, config: PySceneDetectConfig | None = None) -> None:
        self.config = config or PySceneDetectConfig()
        self.frame_size: tuple[int, int] = (256, 144)
        self.name = revision("pyscenedetect", "scenedetect-headless")

    def start(self) -> "PySceneDetectPass":
        return PySceneDetectPass(self.config)


class PySceneDetectPass:
    """One video going by."""

    def __init__(self, config: PySceneDetectConfig) -> None:
        from scenedetect import AdaptiveDetector, ThresholdDetector

        self._count = 0
        self._cuts: list[int] = []
        self._adaptive = AdaptiveDetector(
            config.adaptive_threshold, min_scene_len=config.min_shot_frames, min_content_val=config.min_content
        )
        # A fade is reported once, when the picture is back. The bias says which end of the dark stretch is named.
        self._dark_starts: list[int] = []
        self._dark_ends: list[int] = []
        self._to_black = ThresholdDetector(config.black_level, min_scene_len=0, fade_bias=-1.0)
        self._from_black = ThresholdDetector(config.black_level, min_scene_len=0, fade_bias=1.0)

    def add(self, frame_rgb: np.ndarray) -> None:
        """The next frame, uint8 [144, 256, 3] RGB."""
        from scenedetect import FrameTimecode

        time = FrameTimecode(self._count, fps=_FPS)
        self._count += 1
        bgr = cv2.cvtColor(frame_rgb, cv2.COLOR_RGB2BGR)
        self._cuts += _frames(self._adaptive.process_frame(time, bgr))
        self._dark_starts += _frames(self._to_black.process_frame(time, bgr))
        self._dark_ends += _frames(self._from_black.process_frame(time, bgr))

    def finish(self) -> list[Transition]:
        """Transitions in order, score 1 each: PySceneDetect gives none. Of a fade only its dark stretch is known."""
        fades = [Transition("gradual", a, b, 1.0) for a, b in zip(self._dark_starts, self._dark_ends, strict=True)]
        cuts = [
            Transition("cut", cut, cut, 1.0)
            for cut in self._cuts
            if 0 < cut < self._count and not any(fade.start <= cut <= fade.end for fade in fades)
        ]
        return sorted([*cuts, *fades], key=lambda transition: transition.start)


def _frames(times: list[Any]) -> list[int]:
    return [int(time.frame_num) for time in times]
