"""Runs beside one another and beside what is published: the one table that every format shows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from eval.measures import MEASURES, PUBLISHED, Measure
from eval.summary import KINDS, Result, RunScores

TITLES = {"frame_in": "Frame In", "frame_out": "Frame Out"}
_NOTE = (
    "* not made as the published numbers were (backends, weights, sizes or frames): compares runs with one another. "
    "Published numbers are of the published benchmark's videos. "
    "Intervals: 95 %, bootstrap over videos; of a handful of videos they are too narrow. In brackets: "
    "videos with a value, where some have none. "
    "The paper does not say in what unit its Rel DINO is."
)


@dataclass(frozen=True)
class Cell:
    """Attributes: text: the value, with * if not comparable; detail: interval and number of videos, may be empty."""

    text: str
    detail: str = ""
    best: bool = False


@dataclass(frozen=True)
class Line:
    """A measure as made by one backend, "" for none, and a cell for every column of the comparison."""

    measure: Measure
    title: str
    backend: str
    cells: Sequence[Cell]

    @property
    def heading(self) -> str:
        """Title and backend in one."""
        return f"{self.title} [{self.backend}]" if self.backend else self.title


@dataclass(frozen=True)
class Comparison:
    """One kind. Columns are the runs, then the published methods."""

    kind: str
    title: str
    columns: Sequence[str]
    runs: int
    lines: Sequence[Line]


def note(runs: Sequence[RunScores]) -> str:
    """What one must know to read the table."""
    frames = sorted({run.facts["config"]["comparison"]["event_tolerance"] for run in runs})
    most = " or ".join(map(str, frames))
    return f"{_NOTE} Event accuracy: crosses by the right side, at most {most} generated frames early or late."


def compare(runs: Sequence[RunScores]) -> list[Comparison]:
    """A comparison for each kind that any run has."""
    return [_compare(kind, runs) for kind in KINDS if any(kind in run.results for run in runs)]


def _compare(kind: str, runs: Sequence[RunScores]) -> Comparison:
    methods = PUBLISHED[kind]
    lines = []
    for measure in MEASURES:
        results = [[item for item in run.results.get(kind, []) if item.measure == measure] for run in runs]
        backends = sorted({item.backend for of_run in results for item in of_run})
        for backend in backends:
            found = [next((item for item in of_run if item.backend == backend), None) for of_run in results]
            papers = any(item is not None and item.comparable for item in found)
            cells = _cells(found)
            # Published numbers of another feature network than the line's (VideoMAE) would only mislead.
            shown = measure.published if papers or len(backends) == 1 else ""
            cells += [_published(measure, values.get(shown)) for values in methods.values()]
            lines.append(Line(measure, _title(measure, backend), backend, cells))
    return Comparison(kind, TITLES[kind], [run.name for run in runs] + list(methods), len(runs), lines)


def _title(measure: Measure, backend: str) -> str:
    unit = f" ({measure.unit})" if measure.unit else ""
    return f"{measure.named(backend)}{unit} {measure.arrow}"


def _cells(results: Sequence[Result | None]) -> list[Cell]:
    known = [_merit(item) for item in results if item is not None and not math.isnan(item.value)]
    best = max(known) if len(set(known)) > 1 else None  # of equals none is the best
    return [Cell("") if item is None else _cell(item, _merit(item) == best) for item in results]


def _merit(result: Result) -> float:
    """Higher is better."""
    value = result.value
    return {"lower": -value, "higher": value, "zero": -abs(value)}[result.measure.better]


def _cell(result: Result, best: bool) -> Cell:
    star = "*" if result.measure.published and not result.comparable else ""
    parts = []
    if not math.isnan(result.low):
        parts.append(f"{number(result.low, result.measure.digits)} to {number(result.high, result.measure.digits)}")
    if result.missing:
        parts.append(f"[{result.videos} of {result.videos + result.missing}]")
    return Cell(number(result.value, result.measure.digits) + star, " ".join(parts), best)


def _published(measure: Measure, value: float | None) -> Cell:
    return Cell("" if value is None else number(value, measure.digits))


def number(value: float, digits: int) -> str:
    """With `digits` after the point, and more where fewer than two significant ones would be left; "-" for nan."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if 0 < abs(value) < 10 ** (1 - digits):
        return f"{value:.2g}"
    return f"{value:.{digits}f}"
