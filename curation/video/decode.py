"""The analysis pass: every frame of a file once, in order, and what the file turned out to be."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import av
from av.video.frame import PictureType
from av.video.stream import VideoStream

from curation.contract.errors import VideoError
from curation.video.damage import describe_damage
from curation.video.media import DecodedFrame, VideoHeader
from curation.video.open import DecodeConfig, OpenVideo, open_video
from curation.video.packets import FrameDecoder
from curation.video.planes import FramePictures
from curation.video.timing import fit_int32, measure_timing

_DEFAULT_FPS = Fraction(25)  # what FFmpeg assumes of streams that do not say


class Analysis:
    """One pass over a video: iterate over it once, then ask for `facts`.

    Attributes:
        header: what the file says of itself, sizes after rotation.
    """

    def __init__(self, video: OpenVideo, uri: str, video_id: str, config: DecodeConfig) -> None:
        self._video = video
        self._decoder = FrameDecoder(video, config)
        self._frames = self._decoder.frames()
        self._first = next(self._frames, None)
        if self._first is None:
            raise VideoError(f"{video.name}: no frame decodes out of {self._decoder.packets} packets")
        self.header = _header(video.stream, self._first, uri, video_id)
        self._pts: list[int | None] = []
        self._key_frames: list[int] = []
        self._pixel_format = self._first.format.name
        self._done = False

    @property
    def decoded_frames(self) -> int:
        """Frames decoded so far."""
        return self._decoder.frames_decoded

    def __iter__(self) -> Iterator[DecodedFrame]:
        """Frames in order of presentation; their indices are the project's frame numbers.

        Raises:
            VideoError: the deadline has passed.
            StorageError: the storage did not answer for a long while.
        """
        frame, self._first = self._first, None
        while frame is not None:
            yield self._note(frame)
            frame = next(self._frames, None)
        self._done = True

    def facts(self) -> dict[str, Any]:
        """The video's record of the manifest `videos`, `error` null. Only after the last frame."""
        assert self._done, "facts are known after the last frame"
        header, stream, decoder = self.header, self._video.stream, self._decoder
        time_base = _time_base(stream)
        timing = measure_timing(self._pts, decoder.packet_pts, time_base, header.fps)
        return {
            "video_id": header.video_id,
            "uri": header.uri,
            "bytes": self._video.bytes,
            "width": header.width,
            "height": header.height,
            "fps_num": timing.fps.numerator,
            "fps_den": timing.fps.denominator,
            "frames": len(self._pts),
            "duration_s": float(len(self._pts) / timing.fps),
            "codec": header.codec,
            "variable_frame_rate": timing.variable,
            "error": None,
            "damage": describe_damage(self._video, decoder, timing),
            "rotation_deg": header.rotation_deg,
            "pixel_aspect": float(header.pixel_aspect),
            "pixel_format": self._pixel_format,
            "header_frames": header.header_frames,
            "time_base_num": time_base.numerator,
            "time_base_den": time_base.denominator,
            "frame_pts": timing.pts,
            "key_frames": self._key_frames,
        }

    def _note(self, frame: av.VideoFrame) -> DecodedFrame:
        index = len(self._pts)
        self._pts.append(frame.pts)
        # Both marks: an H.264 recovery point need not be an I-frame, and an I-frame need not be a place to start.
        key = frame.pict_type == PictureType.I and (frame.key_frame or frame.pts in self._decoder.key_pts)
        if key:
            self._key_frames.append(index)
        pictures = FramePictures(frame, self.header.rotation_deg)
        return DecodedFrame(index, self._seconds(index), key, self.header.width, self.header.height, pictures.render)

    def _seconds(self, index: int) -> float:
        first, now = self._pts[0], self._pts[index]
        if first is None or now is None:
            return float(index / self.header.fps)
        return float((now - first) * _time_base(self._video.stream))


@contextmanager
def analyse_frames(uri: str, video_id: str, config: DecodeConfig) -> Iterator[Analysis]:
    """Open a video for the analysis pass.

    Raises:
        VideoError: it cannot be opened, or no frame of it decodes; one line saying why.
    """
    with open_video(uri, config) as video:
        yield Analysis(video, uri, video_id, config)


def frame_rotation(frame: av.VideoFrame) -> int:
    """Clockwise turn that shows the frame upright, a multiple of 90 degrees. FFmpeg counts the tag the other way."""
    return round(-frame.rotation / 90) * 90 % 360


def _header(stream: VideoStream, first: av.VideoFrame, uri: str, video_id: str) -> VideoHeader:
    rotation = frame_rotation(first)
    width, height = first.width, first.height
    aspect = stream.sample_aspect_ratio or Fraction(1)
    if rotation % 180:
        width, height, aspect = height, width, 1 / aspect
    return VideoHeader(
        video_id=video_id,
        uri=uri,
        width=width,
        height=height,
        fps=fit_int32(stream.average_rate or stream.guessed_rate or stream.base_rate or _DEFAULT_FPS),
        header_frames=stream.frames or None,
        pixel_aspect=aspect,
        rotation_deg=rotation,
        codec=stream.codec_context.codec.canonical_name,
    )


def _time_base(stream: VideoStream) -> Fraction:
    assert stream.time_base is not None, "an opened stream has a time base"
    return stream.time_base
