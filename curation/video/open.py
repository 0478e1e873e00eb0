"""Opening a file that may be anything: only known containers, only its own bytes, and one clear line when it fails."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from pyarrow import fs

from curation.contract.errors import StorageError, VideoError
from curation.contract.storage import is_passing, open_filesystem, patiently
from curation.video.decode_config import DecodeConfig
from curation.video.location import file_name, is_remote, local_path

# Demuxers that read one file and nothing else. Playlists (hls, dash), scripts (concat) and picture series (image2,
# svg) are left out on purpose: they would make us read other files or hosts.
_CONTAINERS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,mxf,dv,ivf,nut,h264,hevc,m4v,h263,vc1,obu,av1,3gp,wtv,rm"
)
_REMOTE_BUFFER = 1 << 20  # one request to an object store per MiB, not per 32 KiB


@dataclass(frozen=True)
class OpenVideo:
    """A file that FFmpeg has opened, and the stream that is its video."""

    name: str
    bytes: int
    container: InputContainer
    stream: VideoStream


@contextmanager
def open_video(uri: str, config: DecodeConfig) -> Iterator[OpenVideo]:
    """Open a local file or an object of a store (through pyarrow) for single-threaded decoding.

    Raises:
        VideoError: it is missing, unreadable, empty, too large, no video, or of absurd frame size.
        StorageError: the storage did not answer for a long while.
    """
    name = file_name(uri)
    with ExitStack() as stack:
        try:
            size, source = _source(uri, stack)
        except OSError as error:
            reason = error.strerror or " ".join(str(error).split())
            kind = StorageError if is_passing(error) else VideoError
            raise kind(f"{name}: cannot be read: {reason}") from error
        if size == 0:
            raise VideoError(f"{name}: the file is empty (0 bytes)")
        if size > config.max_bytes:
            raise VideoError(f"{name}: {size} bytes are more than decode.max_bytes = {config.max_bytes}")
        try:
            container = av.open(
                source,
                container_options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"},
                options={"max_pixels": str(config.max_pixels)},
                buffer_size=_REMOTE_BUFFER,
                timeout=config.deadline_s,
                metadata_errors="replace",
            )
        except av.error.ExitError as error:
            raise VideoError(f"{name}: opening took longer than {config.deadline_s:g} s") from error
        except (av.error.FFmpegError, OSError) as error:
            if not isinstance(error, av.error.FFmpegError) and is_passing(error):
                raise StorageError(f"{name}: cannot be read: {' '.join(str(error).split())}") from error
            raise VideoError(f"{name}: {_why_not_opened(uri, error)}") from error
        assert isinstance(container, InputContainer)
        stack.enter_context(container)
        stream = _video_stream(name, container)
        check_size(name, stream.codec_context.width, stream.codec_context.height, config)
        # One thread: workers are one per core, and frame threads would reorder the errors of damaged files.
        stream.codec_context.thread_count = 1
        stream.codec_context.thread_type = "NONE"
        yield OpenVideo(name, size, container, stream)


def _source(uri: str, stack: ExitStack) -> tuple[int, object]:
    """Size in bytes, and what PyAV shall read: a path or an open file."""
    if is_remote(uri):
        store, path = open_filesystem(uri)
        file = _PatientFile(store, path)
        stack.callback(file.close)
        return file.size, file
    path = local_path(uri)
    with Path(path).open("rb"):  # says "permission denied" or "is a directory" better than FFmpeg does
        pass
    return Path(path).stat().st_size, path


class _PatientFile:
    """An object of a store, as a file that PyAV reads; while the store fails, it is opened and read again."""

    def __init__(self, store: fs.FileSystem, path: str) -> None:
        self._store, self._path = store, path
        self._file = patiently(lambda: store.open_input_file(path), path)
        self._position = 0
        self.size: int = self._file.size()

    def read(self, count: int) -> bytes:
        data = patiently(lambda: self._read(count), self._path)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        self._file.close()

    def _read(self, count: int) -> bytes:
        try:
            self._file.seek(min(self._position, self.size))
            return self._file.read(count)
        except OSError:
            self._file = self._store.open_input_file(self._path)
            raise


def _why_not_opened(uri: str, error: Exception) -> str:
    if isinstance(error, av.error.ArgumentError):
        return "not accepted as a video: playlists, scripts and still pictures are refused"
    if not isinstance(error, av.error.InvalidDataError):
        return f"cannot be opened: {' '.join(str(error).split())}"
    head = _first_bytes(uri)
    if head[4:8] in (b"ftyp", b"mdat", b"moov", b"wide", b"free", b"skip"):
        return "the MP4 index (moov) is missing or broken: probably cut off while recording or copying"
    if head.startswith((b"#EXTM3U", b"ffconcat")):
        return "not a video: playlists and scripts are refused"
    return "not a video: FFmpeg knows no video format with such content"


def _first_bytes(uri: str) -> bytes:
    if not is_remote(uri):
        with Path(local_path(uri)).open("rb") as file:
            return file.read(12)
    store, path = open_filesystem(uri)
    with store.open_input_file(path) as file:
        return file.read(12)


def _video_stream(name: str, container: InputContainer) -> VideoStream:
    """The first video stream that is not cover art."""
    pictures = Disposition.attached_pic | Disposition.timed_thumbnails
    for stream in container.streams.video:
        if not stream.disposition & pictures:
            if stream.codec_context is None:
                raise VideoError(f"{name}: no decoder for its video stream")
            return stream
    kinds = sorted({stream.type for stream in container.streams if stream.type != "video"})
    raise VideoError(f"{name}: no video stream" + (f", only {', '.join(kinds)}" if kinds else ""))


def check_size(name: str, width: int, height: int, config: DecodeConfig) -> None:
    """
    Args:
        width, height: px, as stored.

    Raises:
        VideoError: larger than the limits.
    """
    if max(width, height) > config.max_side:
        raise VideoError(f"{name}: {width}x{height} is longer than decode.max_side = {config.max_side}")
    if width * height > config.max_pixels:
        raise VideoError(f"{name}: {width}x{height} is more than decode.max_pixels = {config.max_pixels}")
