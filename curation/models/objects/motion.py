"""Object detector of the embedded default: what departs from the background and moves on its own."""

from collections.abc import Sequence

import cv2
import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.models.objects.motion_model import LIKELY, motion_model
from curation.models.objects.protocol import Detection
from curation.video.media import ClipFrames


class MotionConfig(Config):
    min_area: float = Field(default=0.001, ge=0, le=1, description="smallest object, share of the frame")
    max_area: float = Field(
        default=0.6, ge=0, le=1, description="largest object, share of the frame: above, it is the scene"
    )
    min_moving: float = Field(default=0.15, ge=0, le=1, description="share of the object's pixels that must be moving")


class MotionDetector:
    """Connected regions of foreground in which there is motion relative to the camera's."""

    name = "motion-1"

    def __init__(self, config: MotionConfig) -> None:
        self._config = config

    def detect(self, clip: ClipFrames, frames: Sequence[int]) -> dict[int, list[Detection]]:
        """See ObjectDetector. The largest object comes first; the score is the mean strength of the evidence."""
        model = motion_model(clip)
        return {index: self._in_frame(model.evidence[index], model.moving(index)) for index in frames}

    def _in_frame(self, evidence: np.ndarray, moving: np.ndarray) -> list[Detection]:
        likely = foreground(evidence)
        if likely.mean() > self._config.max_area:
            return []
        count, labels, stats, _ = cv2.connectedComponentsWithStats(likely, connectivity=8)
        found: list[tuple[int, Detection]] = []
        for label in range(1, count):
            area = int(stats[label, cv2.CC_STAT_AREA])
            if not self._config.min_area <= area / evidence.size <= self._config.max_area:
                continue
            mask = labels == label
            if np.count_nonzero(moving[mask]) < self._config.min_moving * area:
                continue
            score = float(np.minimum(evidence[mask], 2 * LIKELY).mean()) / (2 * LIKELY)
            found.append((area, Detection(mask, "object", min(1.0, score))))
        return [detection for _, detection in sorted(found, key=lambda item: -item[0])]


def foreground(evidence: np.ndarray) -> np.ndarray:
    """uint8 [h, w] of 0 and 1: likely pixels, small gaps closed, specks removed, holes filled."""
    mask = (evidence >= LIKELY).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(mask), outlines, -1, 1, thickness=cv2.FILLED)
