"""Frames of an analysed video by their index, forward only, seeking where that saves decoding."""

import itertools
import logging
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import av
import av.error
from av.video.frame import PictureType

from curation.contract.errors import VideoError
from curation.video.open import DecodeConfig, OpenVideo, open_video
from curation.video.packets import FrameDecoder

logger = logging.getLogger(__name__)

# Frames that a seek must save: going to a key frame flushes the decoder, which costs a few frames itself.
_WORTH_SEEKING = 12
# How many frames before the key frame to aim. MPEG transport streams are sought by decoding time, which comes before
# presentation by up to the reordering depth (16 frames in H.264 and HEVC).
_SEEK_EARLIER = (0, 16)


class _LostPlaceError(Exception):
    """After a seek, the frames are not those of the analysis pass."""


class FrameReader:
    """Reads frames of a `videos` record; the same index is the same frame as in the analysis pass.

    Where the record has usable time stamps, frames are found by seeking and every one is checked against its time
    stamp. Otherwise, when the file is damaged, or when a seek lands wrong, decoding starts at the beginning and counts.
    """

    def __init__(self, video: Mapping[str, Any], config: DecodeConfig, wanted: Collection[int] | None = None) -> None:
        """
        Args:
            video: a record of the manifest `videos`.
            wanted: indices that `frame` will be asked for, if they are known: others are not decoded where nothing
                depends on them (a quarter of the time, for H.264 with B-frames).
        """
        self._uri: str = video["uri"]
        self._bytes = video["bytes"]
        self._config = config
        self._pts: list[int] | None = None if video["frame_pts"] is None else [int(pts) for pts in video["frame_pts"]]
        self._keys = sorted(int(key) for key in video["key_frames"])
        self._seekable = self._pts is not None and video["damage"] is None
        self._wanted = wanted
        self._decoded_before = 0  # by decoders given up
        self._stack = ExitStack()
        self._start()

    def __enter__(self) -> "FrameReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def decoded_frames(self) -> int:
        """Frames decoded so far, those passed over included."""
        return self._decoded_before + self._decoder.frames_decoded

    def frame(self, index: int) -> av.VideoFrame:
        """The frame at `index`, which must be greater than that of the call before.

        Raises:
            VideoError: the file is not the one that was analysed, or the deadline has passed.
        """
        assert index >= self._position, "frames are read forward"
        if self._seekable:
            try:
                return self._by_time(index)
            except _LostPlaceError:
                logger.info("%s: seeking lands on other frames; decoding from the start", self._video.name)
                self._seekable = False
                self._decoded_before += self._decoder.frames_decoded
                self._start()
        return self._by_count(index)

    def _start(self) -> None:
        """Open the file anew, at its first frame."""
        self._stack.close()
        self._video: OpenVideo = self._stack.enter_context(open_video(self._uri, self._config))
        if self._video.bytes != self._bytes:
            raise VideoError(f"{self._video.name}: the file has changed since it was analysed; analyse it again")
        self._decoder = FrameDecoder(self._video, self._config)
        if self._seekable and self._pts is not None and self._wanted is not None:
            self._decoder.wanted_pts = {self._pts[index] for index in self._wanted}
        self._frames: Iterator[av.VideoFrame] = self._decoder.frames()
        self._position = 0  # index of the frame that comes next, or of one that is left out before it

    def _by_time(self, index: int) -> av.VideoFrame:
        assert self._pts is not None
        key = self._key_frame_before(index)
        if key >= self._position + _WORTH_SEEKING:
            self._seek(key)
        while True:
            frame = next(self._frames, None)
            if frame is None or frame.pts is None:
                raise _LostPlaceError
            while (
                self._decoder.wanted_pts is not None
                and self._position < index
                and frame.pts != self._pts[self._position]
            ):
                self._position += 1
            if frame.pts != self._pts[self._position]:
                raise _LostPlaceError
            self._position += 1
            if self._position > index:
                return frame

    def _by_count(self, index: int) -> av.VideoFrame:
        for frame in self._frames:
            if self._pts is not None and frame.pts != self._pts[self._position]:
                break
            self._position += 1
            if self._position > index:
                return frame
        raise VideoError(
            f"{self._video.name}: frame {self._position} of the analysis does not decode again; analyse it again"
        )

    def _key_frame_before(self, index: int) -> int:
        """The last key frame at or before `index`; the first frame when there is none."""
        place = bisect_right(self._keys, index)
        return self._keys[place - 1] if place else 0

    def _seek(self, key: int) -> None:
        """Make key frame `key` the next one."""
        assert self._pts is not None
        for earlier in _SEEK_EARLIER:
            if self._reach(key, self._pts[max(0, key - earlier)]):
                return
        raise _LostPlaceError

    def _reach(self, key: int, target: int) -> bool:
        """Seek to time `target` and decode up to `key`; False when that leads past it.

        Frames shown before it may come first: the container went further back, or they are leading pictures of an
        open GOP, whose references are missing. Neither is wanted.
        """
        assert self._pts is not None
        try:
            self._decoder.seek(target)
        except av.error.FFmpegError:
            return False
        frames = self._decoder.frames()
        for frame in frames:
            if frame.pts is None or frame.pts > self._pts[key]:
                return False
            if frame.pts == self._pts[key]:
                self._frames = itertools.chain([frame], frames)
                self._position = key
                return frame.pict_type == PictureType.I
        return False
