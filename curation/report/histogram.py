"""Histograms of scores as shapes for the page's inline SVG, with the thresholds in force."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# The drawing's own units; the page scales it to any width.
WIDTH, HEIGHT = 320, 112
_BASE = 92  # y of the axis
_TOP = 18  # leaves room for the thresholds' labels
_LOG_RATIO = 300  # positive scores that span more than this are shown on a logarithmic axis


@dataclass(frozen=True)
class Bar:
    """One bin: a rectangle, how many values it holds, and whether they are dropped."""

    x: float
    y: float
    width: float
    height: float
    title: str
    dropped: bool


@dataclass(frozen=True)
class Mark:
    """A threshold: where it stands, what to write, and which part beyond it is dropped."""

    x: float
    label: str
    anchor: str
    shade_x: float
    shade_width: float


@dataclass(frozen=True)
class Histogram:
    """Attributes:
    count: finite values. missing: nulls, NaN and infinities.
    dropped: finite values outside the thresholds, whatever other rules say of them.
    ticks: (x, anchor, text) below the axis.
    """

    bars: Sequence[Bar]
    marks: Sequence[Mark]
    ticks: Sequence[tuple[float, str, str]]
    count: int
    missing: int
    dropped: int
    logarithmic: bool


def make_histogram(values: np.ndarray, low: float | None, high: float | None) -> Histogram | None:
    """The histogram of scores; None when there is no finite one.

    Args:
        values: float64 [N]; NaN where not measured.
        low, high: inclusive limits in force; None for none.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None
    outside = np.zeros(finite.size, bool)
    if low is not None:
        outside |= finite < low
    if high is not None:
        outside |= finite > high
    limits = [limit for limit in (low, high) if limit is not None]
    axis = _Axis.over(finite, limits)
    bins = int(np.clip(2 * math.sqrt(finite.size), 12, 32))
    edges = np.linspace(0, WIDTH, bins + 1)
    # A bin that a threshold cuts is cut for good: no bar is half dropped.
    edges = np.unique(np.concatenate([edges, [axis.place(limit) for limit in limits]]))
    places = np.array([axis.place(value) for value in finite])
    return Histogram(
        bars=_bars(finite, places, outside, edges, axis),
        marks=_marks(low, high, axis),
        ticks=[(0, "start", number(axis.value(0))), (WIDTH, "end", number(axis.value(WIDTH)))],
        count=int(finite.size),
        missing=int(values.size - finite.size),
        dropped=int(outside.sum()),
        logarithmic=axis.logarithmic,
    )


def number(value: float) -> str:
    """A number as a person would write it: three significant digits, thousands separated."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 0.0001:
        return f"{value:.1e}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass(frozen=True)
class _Axis:
    start: float
    end: float
    logarithmic: bool

    @classmethod
    def over(cls, values: np.ndarray, limits: Sequence[float]) -> "_Axis":
        """From the least to the largest value, and out to thresholds: one that drops nothing is worth seeing too."""
        least, most = min([values.min(), *limits]), max([values.max(), *limits])
        if least > 0 and most / least > _LOG_RATIO:
            return cls(math.log10(least), math.log10(most), True)
        if least == most:
            return cls(min(0.0, 2 * least), max(2 * most, 0.0) or 1.0, False)
        room = (most - least) * 0.03
        return cls(0.0 if 0 <= least < 3 * room else least - room, most + room, False)

    def place(self, value: float) -> float:
        if self.logarithmic:
            value = math.log10(value)
        return WIDTH * (value - self.start) / (self.end - self.start)

    def value(self, place: float) -> float:
        value = self.start + (self.end - self.start) * place / WIDTH
        return 10**value if self.logarithmic else value


def _bars(finite: np.ndarray, places: np.ndarray, outside: np.ndarray, edges: np.ndarray, axis: _Axis) -> list[Bar]:
    # Kept and dropped are counted apart, so that a value right on a threshold falls on the side where it belongs.
    kept, _ = np.histogram(places[~outside], edges)
    lost, _ = np.histogram(places[outside], edges)
    # Height shows density, or a bin that a threshold cut in two would look like a dip.
    widths = np.diff(edges)
    standard = WIDTH / max(1, round(WIDTH / widths.max()))
    tallest = max((np.maximum(kept, lost) * standard / np.maximum(widths, standard / 4)).max(), 1.0)
    bars = []
    for index, width in enumerate(widths):
        for count, dropped in ((int(kept[index]), False), (int(lost[index]), True)):
            if count:
                height = max(2.0, (_BASE - _TOP) * count * standard / max(width, standard / 4) / tallest)
                span = f"{number(axis.value(edges[index]))} to {number(axis.value(edges[index + 1]))}"
                title = f"{span}: {count:,}{' dropped' if dropped else ''}"
                x = float(edges[index])
                bars.append(
                    Bar(
                        round(x + 0.5, 2),
                        round(_BASE - height, 2),
                        round(max(1.0, width - 1), 2),
                        round(height, 2),
                        title,
                        dropped,
                    )
                )
    return bars


def _marks(low: float | None, high: float | None, axis: _Axis) -> list[Mark]:
    marks = []
    for name, limit in (("min", low), ("max", high)):
        if limit is not None:
            x = float(np.clip(axis.place(limit), 0.75, WIDTH - 0.75))
            shade = (0.0, x) if name == "min" else (x, WIDTH - x)
            # Each label leans away from its dropped side, unless it would leave the picture there.
            leans_right = (name == "min" and x < WIDTH * 0.7) or (name == "max" and x < WIDTH * 0.3)
            marks.append(
                Mark(round(x, 2), f"{name} {number(limit)}", "start" if leans_right else "end", shade[0], shade[1])
            )
    return marks
