"""Distributions and courses as shapes for the page's inline SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curation.report.histogram import number
from eval.measures import Measure
from eval.summary import RunScores

WIDTH = 320  # the drawing's own units; the page scales it to any width
ROW = 26  # height of a run's row of dots
CURVE_HEIGHT = 110
_MARGIN = 6


@dataclass(frozen=True)
class Dot:
    """One video of a run. Attributes: title: for the pointer."""

    x: float
    y: float
    run: int
    sample_id: str
    title: str


@dataclass(frozen=True)
class Strip:
    """Every video's value of a measure as a dot, a row for each run; the upright line is a run's median.

    Attributes:
        title: of the measure.
        medians: (run, x, y of the row's top).
        ticks: (x, anchor, text) below.
        outside: how many values are infinite.
    """

    title: str
    measure: Measure
    dots: Sequence[Dot]
    medians: Sequence[tuple[int, float, float]]
    ticks: Sequence[tuple[float, str, str]]
    height: float
    outside: int


@dataclass(frozen=True)
class Curve:
    """Attributes: path: of an SVG polyline; run: -1 for the ground truth."""

    points: str
    run: int
    name: str


@dataclass(frozen=True)
class Course:
    """Means over videos, frame by frame. Attributes: low, high: values at the bottom and the top."""

    title: str
    curves: Sequence[Curve]
    low: str
    high: str
    frames: int


def make_strip(measure: Measure, runs: Sequence[RunScores], kind: str) -> Strip | None:
    """None when no video has a value that can be drawn."""
    values = [
        (index, row["sample_id"], row[measure.key])
        for index, run in enumerate(runs)
        for row in run.of_kind(kind)
        if row.get(measure.key) is not None
    ]
    finite = [value for *_, value in values if math.isfinite(value)]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    if low == high:
        low, high = (0.0, 1.0) if 0 <= low <= 1 else (low - abs(low), high + abs(high))

    def place(value: float) -> float:
        return round(_MARGIN + (WIDTH - 2 * _MARGIN) * (value - low) / (high - low), 2)

    dots, medians = [], []
    for index, run in enumerate(runs):
        mine = [(name, value) for of_run, name, value in values if of_run == index and math.isfinite(value)]
        for order, (name, value) in enumerate(mine):
            # Dots of one row dance up and down, so that equal values can be told apart.
            y = index * ROW + ROW * (0.3 + 0.2 * (order % 3))
            dots.append(Dot(place(value), round(y, 2), index, name, f"{run.name}: {number(value)} · {name}"))
        if mine:
            medians.append((index, place(float(np.median([value for _, value in mine]))), float(index * ROW)))
    ticks = [(0.0, "start", number(low)), (float(WIDTH), "end", number(high))]
    return Strip(
        runs[0].title(measure, kind), measure, dots, medians, ticks, float(ROW * len(runs)), len(values) - len(finite)
    )


def make_course(
    title: str, column: str, runs: Sequence[RunScores], kind: str, true_column: str | None = None
) -> Course | None:
    """A curve for each run, and one of the ground truth where there is such a column. None without any value."""
    series = [(run.name, index, _mean_course(run, kind, column)) for index, run in enumerate(runs)]
    if true_column is not None:
        truths = [_mean_course(run, kind, true_column) for run in runs]
        series.insert(0, ("ground truth", -1, max(truths, key=len)))
    known = [(name, index, values) for name, index, values in series if np.isfinite(values).sum() > 1]
    if not known:
        return None
    every = np.concatenate([values[np.isfinite(values)] for _, _, values in known])
    low, high = min(0.0, float(every.min())), float(every.max()) or 1.0
    frames = max(len(values) for _, _, values in known)
    curves = [Curve(_polyline(values, frames, low, high), index, name) for name, index, values in known]
    return Course(title, curves, number(low), number(high), frames)


def _mean_course(run: RunScores, kind: str, column: str) -> np.ndarray:
    """float64 [T]: mean over videos, nan where none has a value; T of the longest."""
    rows = [np.asarray(row[column], np.float64) for row in run.of_kind(kind) if row[column] is not None]
    longest = max((len(row) for row in rows), default=0)
    padded = np.full((len(rows), longest), np.nan)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = row
    known = np.isfinite(padded)
    counts = known.sum(axis=0)
    return np.where(counts, np.where(known, padded, 0.0).sum(axis=0) / np.maximum(1, counts), np.nan)


def _polyline(values: np.ndarray, frames: int, low: float, high: float) -> str:
    places = []
    for frame, value in enumerate(values):
        if math.isfinite(value):
            x = _MARGIN + (WIDTH - 2 * _MARGIN) * frame / max(1, frames - 1)
            y = CURVE_HEIGHT - _MARGIN - (CURVE_HEIGHT - 2 * _MARGIN) * (value - low) / (high - low)
            places.append(f"{x:.1f},{y:.1f}")
    return " ".join(places)
