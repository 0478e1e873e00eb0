"""The report: one self-contained HTML page, for a person who compares models and wants to see why a number is bad."""

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from eval.measures import MEASURES
from eval.report.cases import CaseLine, pick_cases, roles
from eval.report.comparison import TITLES, Comparison, compare, note
from eval.report.players import PlayerMaker
from eval.report.plots import CURVE_HEIGHT, WIDTH, Course, Strip, make_course, make_strip
from eval.summary import RunScores

_MOST_PLAYERS = 60  # some 300 KB each


@dataclass(frozen=True)
class _Section:
    """Everything of one kind."""

    kind: str
    title: str
    comparison: Comparison
    strips: Sequence[Strip]
    courses: Sequence[Course]
    cases: Sequence[CaseLine]


def render_page(runs: Sequence[RunScores]) -> str:
    """The page as HTML. Videos are read for the players; one that cannot be read any more is said so there."""
    sections = [_section(comparison, runs) for comparison in compare(runs)]
    lines = [line for section in sections for line in section.cases]
    wanted = list(dict.fromkeys(case.sample_id for line in lines for case in line.cases))
    maker = PlayerMaker(runs)
    players = {name: maker.make(name, number) for number, name in enumerate(wanted[:_MOST_PLAYERS], start=1)}
    environment = Environment(
        # The look of curation's report; names and errors are other people's text, and are escaped.
        loader=ChoiceLoader([PackageLoader("eval.report"), PackageLoader("curation.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("evaluation.html").render(
        runs=runs,
        sections=sections,
        players=players,
        roles=roles(lines),
        more=max(0, len(wanted) - _MOST_PLAYERS),
        note=note(runs),
        plot_width=WIDTH,
        curve_height=CURVE_HEIGHT,
    )


def _section(comparison: Comparison, runs: Sequence[RunScores]) -> _Section:
    kind = comparison.kind
    strips = [make_strip(measure, runs, kind) for measure in MEASURES]
    courses = [
        make_course("Trajectory error, scaled px", "trajectory_error_over_time", runs, kind),
        make_course(
            "Likeness of the object's cut-out", "identity_over_time", runs, kind, true_column="true_identity_over_time"
        ),
    ]
    return _Section(
        kind,
        TITLES[kind],
        comparison,
        [strip for strip in strips if strip],
        [course for course in courses if course],
        pick_cases(runs, kind),
    )
