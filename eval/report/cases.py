"""Which videos to look at: the best, the median and the worst of every measure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eval.measures import MEASURES, Measure
from eval.report.comparison import number
from eval.summary import RunScores

_WHICH = ("best", "median", "worst")


@dataclass(frozen=True)
class Case:
    """Attributes: which: best / median / worst, or only; text: the value."""

    which: str
    sample_id: str
    text: str


@dataclass(frozen=True)
class CaseLine:
    """Best, median and worst of one measure in one run; a single case when only one video has a value."""

    title: str
    run: str
    cases: Sequence[Case]


def pick_cases(runs: Sequence[RunScores], kind: str) -> list[CaseLine]:
    """Of every measure that videos have one by one, for every run."""
    lines = []
    for measure in MEASURES:
        for run in runs:
            rows = [row for row in run.of_kind(kind) if row.get(measure.key) is not None]
            ranked = sorted(rows, key=lambda row: (_badness(measure, row[measure.key]), row["sample_id"]))
            if len(ranked) > 1 and len({row[measure.key] for row in ranked}) == 1:
                continue  # all are alike: none is the best
            chosen = list(zip(_WHICH, (0, (len(ranked) - 1) // 2, len(ranked) - 1), strict=True))
            chosen = [("only", 0)] if len(ranked) == 1 else chosen if ranked else []
            cases = [
                Case(which, ranked[place]["sample_id"], number(ranked[place][measure.key], measure.digits))
                for which, place in chosen
            ]
            if cases:
                lines.append(CaseLine(run.title(measure, kind), run.name, cases))
    return lines


def roles(lines: Iterable[CaseLine]) -> dict[str, list[str]]:
    """Sample -> what it is, a line for each run: "worst of RUN in Traj Err 97.54, SSIM 0.2"."""
    found: defaultdict[str, defaultdict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        for case in line.cases:
            found[case.sample_id][case.which, line.run].append(f"{line.title} {case.text}")
    return {
        sample: [f"{which} of {run} in {', '.join(parts)}" for (which, run), parts in of_sample.items()]
        for sample, of_sample in found.items()
    }


def _badness(measure: Measure, value: float) -> float:
    return {"lower": value, "higher": -value, "zero": abs(value)}[measure.better]
