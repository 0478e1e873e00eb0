"""The labelling pass: the clips that survived, each in memory at working size, from one more decode."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from curation.contract.spans import Span
from curation.video.media import ClipFrames, fit_within
from curation.video.open import DecodeConfig
from curation.video.planes import FramePictures
from curation.video.reader import FrameReader


class ClipRequest(NamedTuple):
    """A clip to read. `picture_frames` are source frames wanted at picture size."""

    clip_id: str
    span: Span
    picture_frames: Sequence[int]


def read_clips(
    video: Mapping[str, Any],
    clips: Sequence[tuple[str, Span, Sequence[int]]],
    config: DecodeConfig,
    working_side: int = 512,
    picture_side: int = 1280,
    seed: int = 0,
) -> Iterator[tuple[ClipFrames, int]]:
    """Decode forward once over spans that do not overlap, and hand out clip by clip, in order of time.

    Args:
        video: a record of the manifest `videos`.
        clips: `ClipRequest`s or equal tuples; spans within the video.
        working_side, picture_side: longer side of the clip's frames and of its larger pictures, px.
        seed: the run's; backends draw from it.

    Yields:
        the clip, and the frames decoded so far in this pass.

    Raises:
        VideoError: the file cannot be read any more, or is not the one that was analysed.
    """
    if not clips:
        return
    requests = sorted((ClipRequest(*clip) for clip in clips), key=lambda request: request.span)
    with FrameReader(video, config) as reader:
        for request in requests:
            yield _read_clip(video, request, reader, working_side, picture_side, seed), reader.decoded_frames


def _read_clip(
    video: Mapping[str, Any],
    request: ClipRequest,
    reader: FrameReader,
    working_side: int,
    picture_side: int,
    seed: int,
) -> ClipFrames:
    span = request.span
    width, height = fit_within(video["width"], video["height"], working_side)
    larger = fit_within(video["width"], video["height"], picture_side)
    wanted = set(request.picture_frames)
    frames = np.empty((span.length, height, width, 3), np.uint8)
    pictures: dict[int, np.ndarray] = {}
    for offset in range(span.length):
        index = span.start + offset
        source = FramePictures(reader.frame(index), video["rotation_deg"])
        frames[offset] = source.render(width, height, luma=False)
        if index in wanted:
            pictures[offset] = source.render(*larger, luma=False)
    return ClipFrames(
        video_id=video["video_id"],
        clip_id=request.clip_id,
        start=span.start,
        fps=Fraction(video["fps_num"], video["fps_den"]),
        frames=frames,
        seconds=_seconds(video, span),
        source_width=video["width"],
        source_height=video["height"],
        pictures=pictures,
        seed=seed,
    )


def _seconds(video: Mapping[str, Any], span: Span) -> np.ndarray:
    """float64 [T] from the span's first frame: by time stamp, or by the mean rate where there is none."""
    if video["frame_pts"] is None:
        return np.arange(span.length) * (video["fps_den"] / video["fps_num"])
    pts = np.asarray(video["frame_pts"], np.int64)[span.start : span.end]
    return (pts - pts[0]) * (video["time_base_num"] / video["time_base_den"])
