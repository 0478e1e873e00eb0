"""Rendered frames to a video file, by the encoders inside PyAV's wheel.

`curation.video.write` makes files for people to look at; this one makes files to test decoding with, so codec, key
frames, B-frames and pixel format are the caller's choice.
"""

from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av import VideoStream


def write_clip(
    frames: np.ndarray,
    path: Path,
    fps: Fraction,
    codec: str = "libx264",
    crf: int = 18,
    key_interval: int = 48,
    pixel_format: str = "yuv420p",
    b_frames: int = 2,
) -> Path:
    """Write uint8 [T, H, W, 3] RGB; the container follows from the suffix. Returns `path`.

    Args:
        crf: constant rate factor of x264 and x265, 0..51; 18 is visually lossless.
        key_interval: at most this many frames between key frames.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"bf": str(b_frames)}
    if codec in ("libx264", "libx265"):
        options |= {"crf": str(crf), "preset": "veryfast"}
    if codec == "libx264":
        # Its macroblock tree gives other bytes for the same frames from run to run (7 different files of 8).
        options["x264-params"] = "mbtree=0"
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=fps, options=options))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixel_format
        stream.codec_context.gop_size = key_interval
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path
