"""From cases to numbers: one value a measure and data set, mean and spread over data sets, and the bars.

Rendered clips and clips labelled by hand have bars of their own: a person labels less, and less exactly.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from eval.labels.cases import Case

How = Literal["f1", "recall", "precision", "mean", "count"]


@dataclass(frozen=True)
class Measure:
    """One line of the table.

    Attributes:
        cases: name of the cases that it is computed from.
        how: f1, recall and precision count outcomes; mean averages values; count is the number of wrong ones.
        bar: what it must reach; None when nothing is asked.
        lower: less is better.
    """

    name: str
    cases: str
    how: How
    bar: float | None = None
    lower: bool = False

    def passed(self, value: float) -> bool | None:
        """Whether the bar is held; None when there is none or nothing was measured."""
        if self.bar is None or np.isnan(value):
            return None
        return value <= self.bar if self.lower else value >= self.bar


RENDERED: tuple[Measure, ...] = (
    Measure("hard cuts F1", "hard", "f1", 0.98),
    Measure("gradual transitions F1", "gradual", "f1", 0.85),
    Measure("camera label accuracy", "camera_label", "mean", 0.95),
    Measure("camera rotation error, degrees a step", "pose_rotation", "mean", lower=True),
    Measure("camera translation error, share of diagonal a step", "pose_translation", "mean", lower=True),
    Measure("camera zoom error, ratio a step", "pose_zoom", "mean", lower=True),
    Measure("moving objects: recall", "object", "recall", 0.85),
    Measure("moving objects: precision", "object", "precision", 0.85),
    Measure("objects invented in still scenes", "still", "count", 0, lower=True),
    Measure("masks: J over the clip", "mask_j", "mean", 0.80),
    Measure("masks: F over the clip", "mask_f", "mean"),
    Measure("masks: J at the query frame", "mask_j_start", "mean"),
    Measure("tracks: delta_avg", "track_delta", "mean", 0.85),
    Measure("tracks: average Jaccard", "track_aj", "mean", 0.75),
    Measure("tracks: occlusion accuracy", "track_oa", "mean"),
    Measure("border events: recall", "event", "recall", 0.85),
    Measure("border events: precision", "event", "precision", 0.90),
    Measure("region boxes that touch the object", "box", "mean", 0.01, lower=True),
    Measure("ID reference purity", "identity", "mean", 0.95),
    Measure("entry sides: rarest side", "entry_side", "mean", 0.18),
    Measure("files that could not be read", "unreadable", "count", 0, lower=True),
)

BY_HAND: tuple[Measure, ...] = (
    Measure("hard cuts found", "hard", "recall", 1.0),
    Measure("hard cuts F1", "hard", "f1"),
    Measure("gradual transitions F1", "gradual", "f1"),
    Measure("false cuts in static clips", "static_cut", "count", 0, lower=True),
    Measure("camera label accuracy", "camera_label", "mean"),
    Measure("DAVIS object: J over the file", "davis_j", "mean", 0.50),
    Measure("border events: recall", "event", "recall", 0.70),
    # As many false as right ones is a precision of one half.
    Measure("border events: precision", "event", "precision", 0.50),
    Measure("region boxes that touch the object", "box", "mean", lower=True),
    Measure("files that could not be read", "unreadable", "count", 0, lower=True),
)


@dataclass(frozen=True)
class Line:
    """A measure over all data sets.

    Attributes:
        values: one for each data set, nan where it has no case.
        cases: how many were looked at in all.
    """

    measure: Measure
    values: tuple[float, ...]
    cases: int

    @property
    def mean(self) -> float:
        known = [value for value in self.values if not np.isnan(value)]
        return float(np.mean(known)) if known else float("nan")

    @property
    def spread(self) -> float:
        """Largest minus smallest value of a data set."""
        known = [value for value in self.values if not np.isnan(value)]
        return float(np.ptp(known)) if known else float("nan")

    @property
    def passed(self) -> bool | None:
        return self.measure.passed(self.mean)


@dataclass(frozen=True)
class Summary:
    """The lines of the data sets of one kind.

    Attributes:
        by_hand: the kind: labelled by hand, or rendered.
        names: of the data sets' folders.
    """

    by_hand: bool
    names: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def title(self) -> str:
        return "hand-labelled clips" if self.by_hand else "rendered clips"


def summarise(data_sets: Sequence[Sequence[Case]], measures: Sequence[Measure] = RENDERED) -> list[Line]:
    """One line for each measure that has a case."""
    lines = []
    for measure in measures:
        chosen = [[case for case in cases if case.measure == measure.cases] for cases in data_sets]
        count = sum(len(cases) for cases in chosen)
        if count:
            lines.append(Line(measure, tuple(_value(measure.how, cases) for cases in chosen), count))
    return lines


def _value(how: How, cases: Sequence[Case]) -> float:
    if how == "mean":
        values = [case.value for case in cases if case.value is not None]
        return float(np.mean(values)) if values else float("nan")
    # Where not everything is labelled, false ones are not known: right ones there would make the precision too good.
    counted = [case for case in cases if case.exhaustive or how == "recall"]
    outcomes = Counter(case.outcome for case in counted)
    right, missed, false = outcomes["right"], outcomes["missed"], outcomes["false"]
    if how == "count":
        return float(false + missed) if cases else float("nan")
    if how == "f1":
        total = 2 * right + missed + false
        return 2 * right / total if total else float("nan")
    total = right + (missed if how == "recall" else false)
    return right / total if total else float("nan")
