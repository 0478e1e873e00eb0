"""Frame rate, regularity and usability of the time stamps of decoded frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

_INT32_MAX = 2**31 - 1
# Share of the mean step by which a step may differ before the rate counts as variable; time bases of 1 ms make the
# steps of an even 30 fps differ by 3 %, which is rounding and allowed separately.
_UNEVEN = 0.05


@dataclass(frozen=True)
class Timing:
    """Measured times of a video's frames.

    Attributes:
        fps: mean rate of the decoded frames; numerator and denominator fit int32.
        variable: the steps between frames differ by more than rounding.
        pts: int64 [frames], strictly increasing; None when the file's time stamps cannot identify frames.
    """

    fps: Fraction
    variable: bool
    pts: np.ndarray | None


def measure_timing(
    pts: Sequence[int | None], packet_pts: set[int], time_base: Fraction, header_fps: Fraction
) -> Timing:
    """Judge the presentation times of the decoded frames.

    Times are usable when they increase from frame to frame and each was written in the file: what FFmpeg guesses
    (AVI with B-frames, raw streams) depends on where decoding began and would name other frames after a seek.

    Args:
        pts: time of every decoded frame, in time_base.
        packet_pts: times that the container gives.
        time_base: s.
        header_fps: rate that the header claims; kept when the measured one differs from it by rounding only.
    """
    if any(time is None or time not in packet_pts for time in pts):
        return Timing(fit_int32(header_fps), False, None)
    times = np.array(pts, np.int64)
    steps = np.diff(times)
    if times.size == 0 or (steps <= 0).any():
        return Timing(fit_int32(header_fps), False, None)
    if steps.size == 0:
        return Timing(fit_int32(header_fps), False, times)
    elapsed = int(times[-1] - times[0])
    fps = Fraction(int(steps.size)) / (elapsed * time_base)
    if abs(Fraction(int(steps.size)) / header_fps / time_base - elapsed) <= 1:
        fps = header_fps
    mean = elapsed / steps.size
    variable = bool((np.abs(steps - mean) > max(1.0, _UNEVEN * mean)).any())
    return Timing(fit_int32(fps), variable, times)


def fit_int32(rate: Fraction) -> Fraction:
    """The nearest fraction whose numerator and denominator fit int32 with room to spare."""
    largest = int(min(1_000_000, _INT32_MAX / 2 / max(1.0, float(rate))))
    return rate.limit_denominator(max(1, largest))
