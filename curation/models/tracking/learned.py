"""What learned point trackers have in common: into the network's pixels and out again, and what a query is."""

import cv2
import numpy as np

from curation.contract.spans import scale_points
from curation.video.media import ClipFrames


def resized(clip: ClipFrames, width: int, height: int) -> np.ndarray:
    """uint8 [T, height, width, 3]: all frames, stretched to the size that a network wants."""
    shrinks = width * height < clip.width * clip.height
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.stack([cv2.resize(frame, (width, height), interpolation=how) for frame in clip.frames])


def to_pixels(clip: ClipFrames, queries: np.ndarray, width: int, height: int) -> np.ndarray:
    """float32 [N, 3] (t, x, y): queries in source px, moved to pictures of another size."""
    moved = np.array(queries, np.float32)
    moved[:, 1:] = scale_points(queries[:, 1:], width / clip.source_width, height / clip.source_height)
    return moved


def finished(
    clip: ClipFrames, queries: np.ndarray, points: np.ndarray, visible: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """Tracks [T, N, 2] in px of `width` x `height` pictures, and visibility [T, N], as `PointTracker.track` gives them.

    A point is where it was asked for in its own frame, and visible wherever the network says so inside the frame.
    """
    points = scale_points(points, clip.source_width / width, clip.source_height / height)
    visible = np.array(visible, bool)
    own, index = queries[:, 0].astype(np.int64), np.arange(len(queries))
    points[own, index] = queries[:, 1:]
    visible[own, index] = True
    inside = (points > -0.5) & (points < np.array([clip.source_width, clip.source_height]) - 0.5)
    return points, visible & inside.all(axis=-1)
