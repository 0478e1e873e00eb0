"""Which part of a readable file does not decode, in one line."""

from fractions import Fraction

import av

from curation.video.open import OpenVideo
from curation.video.packets import FrameDecoder
from curation.video.timing import Timing

# Decoded time / promised time below which a file counts as cut short; headers round, and last frames may be long.
_WHOLE = 0.97
# Packets that give no frame and no error: honest ones are VP8's hidden frames, about 6 %, and the second fields of
# field-coded H.264, as many as there are frames.
_SILENT = 0.25


def describe_damage(video: OpenVideo, decoder: FrameDecoder, timing: Timing) -> str | None:
    """What is broken, or None when the file is whole. Call it after the last frame."""
    notes = []
    if decoder.failed:
        notes.append(f"{decoder.failed} of {decoder.packets} packets do not decode")
    if decoder.corrupt:
        notes.append(f"{decoder.corrupt} of {decoder.frames_decoded} frames are marked as corrupt")
    if notes:
        notes[-1] += f", the first at frame {decoder.first_fault}"
    silent = decoder.packets - decoder.hidden - decoder.failed - decoder.frames_decoded
    if silent > _SILENT * decoder.packets and silent > 1.1 * decoder.frames_decoded:
        notes.append(f"{silent} of {decoder.packets} packets decode to nothing")
    cut = _cut_short(video, decoder, timing)
    return "; ".join([*notes, cut] if cut else notes) or None


def _cut_short(video: OpenVideo, decoder: FrameDecoder, timing: Timing) -> str | None:
    """Says so when less is seen than the header promises.

    Neither count proves anything alone: an edit list honestly shows fewer frames than the file stores.
    """
    promised_frames, promised_s = video.stream.frames, _promised_seconds(video)
    complete = promised_frames and decoder.packets >= promised_frames
    if complete and decoder.frames_decoded >= decoder.packets - decoder.hidden:
        return None
    decoded_s = float(decoder.frames_decoded / timing.fps)
    if promised_s is None or decoded_s >= _WHOLE * promised_s:
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
