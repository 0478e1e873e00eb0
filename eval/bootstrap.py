"""Confidence intervals by bootstrap over videos (Efron and Tibshirani 1993; Davison and Hinkley 1997, section 5.2)."""

from collections.abc import Callable

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 1000
_LEAST_VIDEOS = 8  # below, resamples of a covariance say nothing
FRECHET_RESAMPLES = 200  # each costs a singular value decomposition


def mean_interval(values: np.ndarray, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean of [N] values, each of one video; (nan, nan) for fewer than two."""
    if len(values) < 2:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    return _percentiles(values[drawn].mean(axis=1))


def pivotal_interval(
    statistic: Callable[[np.ndarray], float], videos: int, value: float, seed: int
) -> tuple[float, float]:
    """95 % basic interval of a statistic of all videos together; (nan, nan) for fewer than eight.

    A resample repeats videos, which makes Fréchet distances larger than they are. The basic interval turns the
    resamples' excess over `value` round, and so takes that bias off instead of adding it.

    Args:
        statistic: of indices of videos, with repetitions.
        value: the statistic of all videos, each once.
    """
    if videos < _LEAST_VIDEOS:
        return float("nan"), float("nan")
    generator = np.random.default_rng(seed)
    drawn = [statistic(generator.integers(videos, size=videos)) for _ in range(FRECHET_RESAMPLES)]
    low, high = _percentiles(np.array(drawn))
    return 2 * value - high, 2 * value - low


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    # The nearest rank: between two infinite values there is nothing to interpolate.
    low, high = np.quantile(values, [tail, 1 - tail], method="nearest")
    return float(low), float(high)
