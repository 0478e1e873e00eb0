"""From an open file to its frames in order of presentation; what fails is counted and passed over."""

import time
from collections.abc import Collection, Iterator

import av
import av.error

from curation.contract.errors import StorageError, VideoError
from curation.contract.storage import is_passing
from curation.video.open import DecodeConfig, OpenVideo, check_size

# A file whose reading fails this often is over; each failure may still be followed by good packets.
_MAX_READ_FAILURES = 16


class FrameDecoder:
    """Decodes one stream forward and keeps count.

    Attributes:
        frames_decoded: frames handed out so far.
        packets: packets read so far.
        hidden: those that an edit list says not to show.
        failed: packets that did not decode or could not be read.
        corrupt: frames that FFmpeg marks as corrupt.
        first_fault: frames decoded before the first of those; None while there is none.
        packet_pts: presentation times that the container itself gives, in time_base.
        key_pts: those of packets at which decoding may start.
        wanted_pts: when set, frames of other times are left out if no frame refers to them and the decoder can tell.
    """

    def __init__(self, video: OpenVideo, config: DecodeConfig) -> None:
        self._video = video
        self._config = config
        self._deadline_s = config.deadline_s
        self._spent_s = 0.0
        self._packets = video.container.demux(video.stream)
        self._read_failures = 0
        self.frames_decoded = 0
        self.packets = 0
        self.hidden = 0
        self.failed = 0
        self.corrupt = 0
        self.first_fault: int | None = None
        self.packet_pts: set[int] = set()
        self.key_pts: set[int] = set()
        self.wanted_pts: Collection[int] | None = None

    def frames(self) -> Iterator[av.VideoFrame]:
        """Frames from here to the end of the file. After `seek`, ask for a new iterator.

        Raises:
            VideoError: reading and decoding together took longer than the deadline, or there are more or larger frames
                than allowed: what the header says of either need not be true.
            StorageError: the storage did not answer for a long while.
        """
        while True:
            began = time.perf_counter()
            packet = self._next_packet()
            decoded = self._drain() if packet is None else self._decode(packet)
            self._check_deadline(time.perf_counter() - began)
            for frame in decoded:
                self.frames_decoded += 1
                self._check_limits(frame)
                if frame.is_corrupt:
                    self.corrupt += 1
                    self._note_fault(self.frames_decoded - 1)
                yield frame
            if packet is None:
                return

    def seek(self, pts: int) -> None:
        """Go to a key frame at or before `pts`; where exactly is the container's choice."""
        self._video.container.seek(pts, stream=self._video.stream, backward=True)
        self._packets = self._video.container.demux(self._video.stream)

    def _next_packet(self) -> av.Packet | None:
        while True:
            try:
                packet = next(self._packets, None)
            except av.error.ExitError:
                raise VideoError(f"{self._video.name}: reading took longer than {self._deadline_s:g} s") from None
            except av.error.FFmpegError:
                self._read_failures += 1
                self._count_failure()
                if self._read_failures >= _MAX_READ_FAILURES:
                    return None
                self._packets = self._video.container.demux(self._video.stream)
                continue
            except OSError as error:
                kind = StorageError if is_passing(error) else VideoError
                raise kind(f"{self._video.name}: reading failed: {' '.join(str(error).split())}") from error
            if packet is None or (packet.size == 0 and packet.dts is None):  # PyAV ends with an empty packet
                return None
            self.packets += 1
            self.hidden += packet.is_discard
            if packet.pts is not None:
                self.packet_pts.add(packet.pts)
                if packet.is_keyframe:
                    self.key_pts.add(packet.pts)
            return packet

    def _decode(self, packet: av.Packet) -> list[av.VideoFrame]:
        codec = self._video.stream.codec_context
        if self.wanted_pts is not None:
            codec.skip_frame = "DEFAULT" if packet.pts is None or packet.pts in self.wanted_pts else "NONREF"
        try:
            return codec.decode(packet)
        except av.error.FFmpegError:
            self._count_failure()
            return []

    def _drain(self) -> list[av.VideoFrame]:
        """The frames that the decoder still holds at the end of the file."""
        for _ in range(_MAX_READ_FAILURES):
            try:
                return self._video.stream.codec_context.decode(None)
            except av.error.EOFError:
                return []
            except av.error.FFmpegError:
                self._count_failure()
        return []

    def _count_failure(self) -> None:
        self.failed += 1
        self._note_fault(self.frames_decoded)

    def _note_fault(self, frame: int) -> None:
        if self.first_fault is None:
            self.first_fault = frame

    def _check_limits(self, frame: av.VideoFrame) -> None:
        check_size(self._video.name, frame.width, frame.height, self._config)
        if self.frames_decoded > self._config.max_frames:
            raise VideoError(f"{self._video.name}: more frames than decode.max_frames = {self._config.max_frames}")

    def _check_deadline(self, seconds: float) -> None:
        self._spent_s += seconds
        if self._spent_s > self._deadline_s:
            raise VideoError(f"{self._video.name}: decoding took longer than {self._deadline_s:g} s")
