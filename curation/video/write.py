"""Writing an mp4 that any player shows."""

import contextlib
import itertools
import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import IO

import ffmpeg
import imageio_ffmpeg
import numpy as np

from curation.contract.errors import CurationError


def write_mp4(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: Fraction,
    crf: int = 18,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Encode frames as H.264, yuv420p, BT.709, under a temporary name that becomes `path` when the file is whole.

    Args:
        frames: uint8 [H, W, 3] RGB, all of one size; an odd side is made even by repeating its last row or column.
        fps: frames per second.
        crf: x264's constant rate factor; 18 looks lossless.
        metadata: of the file; mp4 keeps title, artist, comment, description and a few others.

    Raises:
        CurationError: FFmpeg failed, with what it said.
        ValueError: there is no frame, or one differs in size from the first.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with tempfile.TemporaryFile() as messages, tempfile.NamedTemporaryFile("w", encoding="utf-8") as described:
            described.write(_ffmetadata(metadata or {}))
            described.flush()
            _encode(partial, frames, fps, crf, described.name, messages)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _encode(
    path: Path, frames: Iterable[np.ndarray], fps: Fraction, crf: int, metadata_file: str, messages: IO[bytes]
) -> None:
    remaining = iter(frames)
    first = next(remaining, None)
    if first is None:
        raise ValueError("no frames to write")
    height, width, _ = first.shape
    bottom, right = height % 2, width % 2
    command = _command(path, width + right, height + bottom, fps, crf, metadata_file)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=messages)
    assert process.stdin is not None
    try:
        for frame in itertools.chain([first], remaining):
            if frame.shape != first.shape or frame.dtype != np.uint8:
                raise ValueError(f"frames must all be uint8 {first.shape}, got {frame.dtype} {frame.shape}")
            even = np.pad(frame, ((0, bottom), (0, right), (0, 0)), mode="edge")
            process.stdin.write(even.tobytes())
        process.communicate()
        if process.returncode:
            raise CurationError(_failure(path, messages))
    except BrokenPipeError:
        raise CurationError(_failure(path, messages)) from None
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        with contextlib.suppress(BrokenPipeError):  # what was still buffered has nowhere to go
            process.stdin.close()


def _command(path: Path, width: int, height: int, fps: Fraction, crf: int, metadata_file: str) -> list[str]:
    stream = (
        ffmpeg.input("pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", r=str(fps))
        .filter("scale", out_color_matrix="bt709", out_range="tv")
        .output(
            str(path),
            format="mp4",
            vcodec="libx264",
            pix_fmt="yuv420p",
            crf=crf,
            colorspace="bt709",
            color_primaries="bt709",
            color_trc="bt709",
            color_range="tv",
            map_metadata=1,
            movflags="+faststart",
            loglevel="error",
        )
        .overwrite_output()
    )
    command = [str(part) for part in ffmpeg.compile(stream, cmd=imageio_ffmpeg.get_ffmpeg_exe())]
    # A second input without streams, which ffmpeg-python cannot express. A file, since arguments are of limited length.
    after_pictures = command.index("pipe:") + 1
    return [*command[:after_pictures], "-f", "ffmetadata", "-i", metadata_file, *command[after_pictures:]]


def _ffmetadata(metadata: Mapping[str, str]) -> str:
    """FFmpeg's text form of metadata (its manual, "Metadata")."""
    escape = str.maketrans({char: "\\" + char for char in "=;#\\\n"})
    lines = [f"{key.translate(escape)}={value.translate(escape)}" for key, value in metadata.items()]
    return "\n".join([";FFMETADATA1", *lines, ""])


def _failure(path: Path, messages: IO[bytes]) -> str:
    messages.seek(0)
    said = " ".join(messages.read().decode(errors="replace").split()) or "no message"
    return f"ffmpeg could not write {path.parent}: {said}"
