"""Decoded pictures as stages meet them: one frame going by, or a clip in memory. Never the object store's business."""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import cv2
import numpy as np


@dataclass(frozen=True)
class VideoHeader:
    """What a file says of itself before its frames are decoded. Sizes are after rotation."""

    video_id: str
    uri: str
    width: int
    height: int
    fps: Fraction
    header_frames: int | None
    pixel_aspect: Fraction
    rotation_deg: int
    codec: str


class DecodedFrame:
    """One frame of the analysis pass. Small pictures are made when first asked for and shared between stages.

    Attributes:
        index: position among the decoded frames of the source, from 0.
        seconds: presentation time from the first frame, s.
        key_frame: whether the decoder can start here.
    """

    def __init__(
        self,
        index: int,
        seconds: float,
        key_frame: bool,
        width: int,
        height: int,
        render: Callable[[int, int, bool], np.ndarray],
    ) -> None:
        self.index = index
        self.seconds = seconds
        self.key_frame = key_frame
        self.width = width
        self.height = height
        self._render = render
        self._cache: dict[tuple[int, int, bool], np.ndarray] = {}

    def rgb(self, width: int, height: int) -> np.ndarray:
        """uint8 [height, width, 3], area-averaged, rotation applied. Do not write into it."""
        return self._get(width, height, False)

    def luma(self, width: int, height: int) -> np.ndarray:
        """uint8 [height, width] full-range luma, area-averaged, rotation applied. Do not write into it."""
        return self._get(width, height, True)

    def _get(self, width: int, height: int, luma: bool) -> np.ndarray:
        key = (width, height, luma)
        if key not in self._cache:
            self._cache[key] = self._render(width, height, luma)
        return self._cache[key]


def fit_within(width: int, height: int, longest: int) -> tuple[int, int]:
    """(width, height) shrunk, never enlarged, so that the longer side is at most `longest`; both even, at least 2."""
    factor = min(1.0, longest / max(width, height))
    return max(2, round(width * factor / 2) * 2), max(2, round(height * factor / 2) * 2)


@dataclass
class ClipFrames:
    """A clip's frames in memory at working size, and a few larger pictures of it.

    Attributes:
        start: source frame of `frames[0]`. Indices in this class and in every model protocol are relative to it.
        frames: uint8 [T, h, w, 3] RGB at working size.
        seconds: float64 [T] presentation times from the clip's first frame, s.
        source_width, source_height: px of the source after rotation; tracks, boxes and manifests use these.
        pictures: clip-relative frame -> uint8 RGB at up to `picture_side` px, for identity crops. Always holds the
            start frames and the discovery grid.
        cache: what backends derive from the frames and share, by a name of their own.
    """

    video_id: str
    clip_id: str
    start: int
    fps: Fraction
    frames: np.ndarray
    seconds: np.ndarray
    source_width: int
    source_height: int
    pictures: dict[int, np.ndarray]
    seed: int = 0
    cache: dict[str, Any] = field(default_factory=dict)

    @property
    def length(self) -> int:
        return self.frames.shape[0]

    @property
    def width(self) -> int:
        """Working width, px."""
        return self.frames.shape[2]

    @property
    def height(self) -> int:
        """Working height, px."""
        return self.frames.shape[1]

    @property
    def scale(self) -> tuple[float, float]:
        """Source px per working px, (x, y)."""
        return self.source_width / self.width, self.source_height / self.height

    @property
    def gray(self) -> np.ndarray:
        """uint8 [T, h, w] luma of `frames`, computed once."""
        if "gray" not in self.cache:
            self.cache["gray"] = luma(self.frames)
        return self.cache["gray"]

    def mask_to_source(self, mask: np.ndarray) -> np.ndarray:
        """A bool [h, w] working mask at source size, edges smoothed by linear interpolation."""
        size = (self.source_width, self.source_height)
        return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) > 0.5


def luma(frames: np.ndarray) -> np.ndarray:
    """uint8 [T, h, w] luma of uint8 [T, h, w, 3] RGB frames."""
    gray = np.empty(frames.shape[:3], np.uint8)
    for index, frame in enumerate(frames):
        gray[index] = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return gray
