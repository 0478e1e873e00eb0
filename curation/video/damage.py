"""Which part of a readable file does not decode, in one line."""

from fractions import Fraction

import av

from curation.video.open import OpenVideo
from curation.video.packets import FrameDecoder
from curation.video.timing import Timing

# Decoded time / promised time below which a file counts as cut short; headers round, and last frames may be long.
_WHOLE = 0.97


def describe_damage(video: OpenVideo, decoder: FrameDecoder, timing: Timing) -> str | None:
    """What is broken, or None when the file is whole. Call it after the last frame."""
    notes = []
    if decoder.failed:
        notes.append(f"{decoder.failed} of {decoder.packets} packets do not decode")
    if decoder.corrupt:
        notes.append(f"{decoder.corrupt} of {decoder.frames_decoded} frames are marked as corrupt")
    if notes:
        notes[-1] += f", the first at frame {decoder.first_fault}"
    cut = _cut_short(video, decoder, timing)
    return "; ".join([*notes, cut] if cut else notes) or None


def _cut_short(video: OpenVideo, decoder: FrameDecoder, timing: Timing) -> str | None:
    """Says so when the file ends before its header does.

    A header's frame count alone proves nothing: an edit list honestly shows fewer frames than the file stores.
    """
    promised_frames = video.stream.frames
    promised_s = _promised_seconds(video)
    if promised_s is None or (promised_frames and decoder.packets >= promised_frames):
        return None
    decoded_s = float(decoder.frames_decoded / timing.fps)
    if decoded_s >= _WHOLE * promised_s:
        return None
    if promised_frames:
        return f"the header promises {promised_frames} frames, {decoder.frames_decoded} decode"
    return f"the header promises {promised_s:.2f} s, {decoded_s:.2f} s decode"


def _promised_seconds(video: OpenVideo) -> float | None:
    """Duration of the video stream by its header; None when the file does not tell it apart from sound."""
    stream = video.stream
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if "DURATION" in stream.metadata:  # Matroska, "00:00:09.960000000"
        hours, minutes, seconds = stream.metadata["DURATION"].split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if video.container.duration is not None and len(video.container.streams) == 1:
        return float(video.container.duration * Fraction(1, av.time_base))
    return None
