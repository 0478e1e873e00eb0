"""A few frames of a video at display size, decoded sparingly: for contact sheets and previews."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from curation.video.open import DecodeConfig
from curation.video.planes import FramePictures
from curation.video.reader import FrameReader


def display_size(video: Mapping[str, Any], longest: int, enlarge: bool = False) -> tuple[int, int]:
    """(width, height) at which to show a `videos` record: display aspect, longer side at most `longest`, both even.

    Args:
        enlarge: make smaller videos that large too.
    """
    width = video["width"] * (video["pixel_aspect"] or 1.0)
    height = float(video["height"])
    scale = longest / max(width, height)
    scale = scale if enlarge else min(1.0, scale)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def read_pictures(
    video: Mapping[str, Any], frames: Iterable[int], size: tuple[int, int]
) -> Iterator[tuple[int, np.ndarray]]:
    """Frames of a video as pictures, seeking over those that nobody asked for.

    Args:
        video: a record of the manifest `videos`.
        frames: source frames, in any order.
        size: (width, height), px.

    Yields:
        (frame, uint8 [height, width, 3] RGB), in order of time.

    Raises:
        VideoError: the file is missing, has changed, or cannot be read any more.
    """
    with FrameReader(video, DecodeConfig()) as reader:
        for frame in sorted(set(frames)):
            yield frame, FramePictures(reader.frame(frame), video["rotation_deg"] or 0).render(*size, luma=False)
