"""Frame rates measured from time stamps."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curation.video.timing import fit_int32, measure_timing

RATES = st.sampled_from([Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(60)])
TIME_BASES = st.sampled_from([Fraction(1, 1000), Fraction(1, 12800), Fraction(1, 90000)])


@given(RATES, TIME_BASES, st.integers(2, 500), st.integers(-1000, 10**9))
def test_an_even_rate_is_found_through_the_rounding_of_time_stamps(
    rate: Fraction, time_base: Fraction, frames: int, start: int
) -> None:
    pts = [start + round(index / rate / time_base) for index in range(frames)]
    timing = measure_timing(pts, set(pts), time_base, header_fps=rate)
    assert timing.fps == rate
    assert not timing.variable
    assert timing.pts is not None
    assert timing.pts.tolist() == pts


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=50), TIME_BASES)
def test_the_mean_rate_spans_first_to_last_frame(steps: list[int], time_base: Fraction) -> None:
    pts = [0, *np.cumsum(steps).tolist()]
    timing = measure_timing(pts, set(pts), time_base, header_fps=Fraction(7))
    expected = len(steps) / (pts[-1] * time_base)
    assert abs(float(timing.fps / expected) - 1) < 1e-3 or timing.fps == 7
    if max(steps) > 1.2 * min(steps) + 4:
        assert timing.variable


@given(st.fractions(min_value=Fraction(1, 10_000), max_value=10**6))
def test_rates_fit_the_columns_of_the_manifest(rate: Fraction) -> None:
    fitted = fit_int32(rate)
    assert 0 < fitted.numerator < 2**31
    assert 0 < fitted.denominator < 2**31
    assert abs(float(fitted / rate) - 1) < 1e-2


def test_time_stamps_that_cannot_name_frames_are_dropped() -> None:
    base, rate = Fraction(1, 1000), Fraction(25)
    for pts in ([0, 40, 40], [0, 80, 40], [0, None, 80], [0, 40, 81]):
        timing = measure_timing(pts, {0, 40, 80}, base, rate)
        assert timing.pts is None
        assert timing.fps == rate
    alone = measure_timing([40], {40}, base, rate)
    assert alone.fps == rate
    assert alone.pts is not None
