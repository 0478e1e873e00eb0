"""Object detector of the embedded default: what departs from the background and moves on its own."""

from collections.abc import Sequence

import cv2
import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.models.objects.motion_model import LIKELY, MotionModel, mask_motion, motion_model
from curation.models.objects.protocol import Detection
from curation.video.media import ClipFrames

_LEAST_FLOW = 0.5  # working px per frame below which motion does not tell pieces apart
_PIECE_GAP = 0.35  # gap between pieces of one object, in square roots of the smaller one's area


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
        found = {}
        for index in frames:
            following = index + 1 if index + 1 < clip.length else index - 1
            flow = model.flow(index, following) if clip.length > 1 else np.zeros((1, 1, 2), np.float16)
            moving = model.moving(index) | _arriving(model, index)
            found[index] = self._in_frame(model.evidence[index], moving, flow)
        return found

    def _in_frame(self, evidence: np.ndarray, moving: np.ndarray, flow: np.ndarray) -> list[Detection]:
        likely = foreground(evidence)
        if likely.mean() > self._config.max_area:
            return []
        count, labels, stats, _ = cv2.connectedComponentsWithStats(likely, connectivity=8)
        labels = _joined(labels, stats, flow)
        stats = np.bincount(labels.ravel(), minlength=count)
        found: list[tuple[int, Detection]] = []
        for label in range(1, count):
            area = int(stats[label])
            if not self._config.min_area <= area / evidence.size <= self._config.max_area:
                continue
            mask = labels == label
            if np.count_nonzero(moving[mask]) < self._config.min_moving * area:
                continue
            score = float(np.minimum(evidence[mask], 2 * LIKELY).mean()) / (2 * LIKELY)
            found.append((area, Detection(mask, "object", min(1.0, score))))
        return [detection for _, detection in sorted(found, key=lambda item: -item[0])]


def _arriving(model: MotionModel, index: int) -> np.ndarray:
    """uint8 [h, w], 255 where there is foreground that was not at its place in the scene before, or will not be.

    Dense flow is blind to small things that go fast.
    """
    likely = model.evidence[index] >= LIKELY
    height, width = likely.shape
    arriving = np.zeros(likely.shape, bool)
    for other in model.neighbours(index):
        there = (model.evidence[other] >= LIKELY).astype(np.uint8)
        if not model.path.still:  # outside of the other frame nobody knows
            there = cv2.warpPerspective(
                there, model.path.between(other, index), (width, height), flags=cv2.INTER_NEAREST, borderValue=1
            )
        arriving |= likely & (cv2.dilate(there, np.ones((5, 5), np.uint8)) == 0)
    return arriving.astype(np.uint8) * 255


def _joined(labels: np.ndarray, stats: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Labels in which pieces that lie close together and move as one have the larger one's label.

    Parts of an object that look like the background behind them leave gaps.
    """
    height, width = labels.shape
    order = [int(label) for label in np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable") + 1]
    pieces = [label for label in order if stats[label, cv2.CC_STAT_AREA] >= 0.0003 * labels.size]
    motion, boxes = {}, {}
    for label in pieces:
        x, y, wide, tall = (int(value) for value in stats[label, :4])
        whole = (slice(y, y + tall), slice(x, x + wide))
        motion[label] = mask_motion(flow, labels[whole] == label, whole, height, width)
        boxes[label] = np.array([x, y, x + wide, y + tall])
    name = np.arange(len(stats))
    for index, small in enumerate(pieces):
        for large in pieces[:index]:
            speed = float(np.hypot(*motion[large]))
            if speed < _LEAST_FLOW or float(np.hypot(*(motion[large] - motion[small]))) > 0.3 + 0.15 * speed:
                continue
            a, b = boxes[large], boxes[small]
            gap = np.maximum(np.maximum(a[:2], b[:2]) - np.minimum(a[2:], b[2:]), 0)
            side = np.sqrt(min(stats[large, cv2.CC_STAT_AREA], stats[small, cv2.CC_STAT_AREA]))
            if gap.max() <= 2 + _PIECE_GAP * side and _beside(a, b):
                name[small] = name[large]
                break
    return name[labels]


def _beside(a: np.ndarray, b: np.ndarray) -> bool:
    """Two boxes overlap by half of the smaller one along at least one axis."""
    overlap = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    return bool((overlap >= 0.5 * np.minimum(a[2:] - a[:2], b[2:] - b[:2])).any())


def foreground(evidence: np.ndarray) -> np.ndarray:
    """uint8 [h, w] of 0 and 1: likely pixels, small gaps closed, specks removed, holes filled."""
    mask = (evidence >= LIKELY).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(mask), outlines, -1, 1, thickness=cv2.FILLED)
