"""Frames of the ground truth and of generated videos, at the canvas that they are compared on."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from curation.contract.errors import VideoError
from curation.report.pictures import read_pictures
from curation.video.decode import analyse_frames
from curation.video.open import DecodeConfig

Size = tuple[int, int]


def read_truth(video: Mapping[str, Any], frames: Sequence[int], size: Size) -> np.ndarray:
    """uint8 [T, H, W, 3]: source frames of a `videos` record, ascending, stretched to `size` (height, width).

    Raises:
        VideoError: the file is missing, has changed, or cannot be read any more.
    """
    pictures = dict(read_pictures(video, frames, (size[1], size[0])))
    return np.stack([pictures[frame] for frame in frames])


def count_frames(uri: str) -> int:
    """Frames that decode.

    Raises:
        VideoError: it cannot be opened, or no frame of it decodes.
    """
    with analyse_frames(uri, uri, DecodeConfig()) as analysis:
        return sum(1 for _ in analysis)


def read_generated(uri: str, frames: Sequence[int], size: Size) -> np.ndarray:
    """uint8 [T, H, W, 3]: frames of a generated video, ascending, stretched to `size` (height, width).

    Raises:
        VideoError: it cannot be opened, or does not have all of the frames.
    """
    wanted = set(frames)
    pictures = []
    with analyse_frames(uri, uri, DecodeConfig()) as analysis:
        for frame in analysis:
            if frame.index in wanted:
                pictures.append(frame.rgb(size[1], size[0]))
    if len(pictures) < len(wanted):
        raise VideoError(f"{uri}: frame {sorted(wanted)[len(pictures)]} does not decode")
    return np.stack(pictures)
