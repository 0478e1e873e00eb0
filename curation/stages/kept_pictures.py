"""Pictures kept of a video while it goes by, in bounded memory, for stages that learn afterwards which they need.

They are kept at a steady rate, halved whenever too many are held, and wherever the view changes much: then the short
clips of a long video have one too.
"""

import heapq
from collections.abc import Sequence

import cv2
import numpy as np

from curation.contract.spans import Span
from curation.video.media import DecodedFrame

_THUMBNAIL = (48, 27)  # the learned shot detector's size, so that it is rendered once for both


class KeptPictures:
    """JPEGs of some frames of one video.

    Args:
        size: (width, height) of the pictures, px.
        interval: frames between steady pictures, at first.
        most: steady pictures held; as many again are held of new views, those that changed most.
        view_change: mean difference to the last kept picture's 48x27 thumbnail from which a view is new, levels.
        jpeg_quality: 1..100.
    """

    def __init__(self, size: tuple[int, int], interval: int, most: int, view_change: float, jpeg_quality: int) -> None:
        self._size = size
        self._interval = interval
        self._most = most
        self._view_change = view_change
        self._jpeg_quality = jpeg_quality
        self._steady: dict[int, np.ndarray] = {}
        self._views: dict[int, np.ndarray] = {}
        self._changes: list[tuple[float, int]] = []  # heap of (change, frame) over _views, smallest first
        self._last: np.ndarray | None = None

    def offer(self, frame: DecodedFrame) -> None:
        """The next frame of the video, kept or not."""
        if frame.index % self._interval == 0:
            self._steady[frame.index] = self._encode(frame)
            if len(self._steady) > self._most:
                self._interval *= 2
                self._steady = {index: data for index, data in self._steady.items() if index % self._interval == 0}
        elif not self._keep_view(frame):
            return
        self._last = frame.rgb(*_THUMBNAIL)

    def near(self, span: Span, positions: Sequence[float]) -> list[int]:
        """For each position (a share of the span's length) the nearest frame kept inside the span.

        In order and without repetition; empty when none was kept there.
        """
        inside = [index for index in sorted(self._steady | self._views) if span.contains(index)]
        if not inside:
            return []
        targets = [span.start + int(position * span.length) for position in positions]
        return sorted({min(inside, key=lambda index: abs(index - target)) for target in targets})

    def picture(self, index: int) -> np.ndarray:
        """The picture kept of a frame, uint8 [height, width, 3] RGB.

        Raises:
            KeyError: none was kept of that frame.
        """
        data = self._steady[index] if index in self._steady else self._views[index]
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert bgr is not None, "it was encoded here"
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)

    def _keep_view(self, frame: DecodedFrame) -> bool:
        assert self._last is not None, "frame 0 is a steady picture"
        change = float(cv2.absdiff(frame.rgb(*_THUMBNAIL), self._last).mean())
        full = len(self._views) == self._most
        if change < self._view_change or (full and change <= self._changes[0][0]):
            return False
        if full:
            _, dropped = heapq.heappop(self._changes)
            del self._views[dropped]
        heapq.heappush(self._changes, (change, frame.index))
        self._views[frame.index] = self._encode(frame)
        return True

    def _encode(self, frame: DecodedFrame) -> np.ndarray:
        bgr = cv2.cvtColor(frame.rgb(*self._size), cv2.COLOR_RGB2BGR)
        done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, self._jpeg_quality])
        assert done, "OpenCV encodes any 8-bit picture"
        return data
