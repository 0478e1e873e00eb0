"""What was found in every single clip: few enough are labelled by hand that a person wants each of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from eval.labels.cases import Case
from eval.labels.labelled import LabelledClip


@dataclass(frozen=True)
class Tally:
    """Attributes: found: right ones; true: right and missed ones; false: reported, but not true."""

    found: int
    true: int
    false: int

    def __str__(self) -> str:
        return f"{self.found} of {self.true}" + (f", {self.false} false" if self.false else "")


@dataclass(frozen=True)
class ClipLine:
    """One clip's numbers; None for what is not labelled in it.

    Attributes:
        camera: share of its clips of the manifest whose camera label is right; `camera_said`: their labels.
        davis_j: J of its one labelled object over the file.
        unreadable: why curation could not read it.
    """

    clip: str
    hard_cuts: Tally | None
    gradual: Tally | None
    camera: float | None
    camera_said: str
    davis_j: float | None
    events: Tally | None
    unreadable: str

    def record(self) -> dict[str, Any]:
        """For scores.json."""
        return asdict(self)

    def cells(self) -> list[str]:
        """As text, one for each of `HEADER`."""
        numbers = [f"{value:.2f}" if value is not None else "" for value in (self.camera, self.davis_j)]
        counts = [str(tally or "") for tally in (self.hard_cuts, self.gradual, self.events)]
        camera = f"{numbers[0]} ({self.camera_said})" if self.camera is not None else self.camera_said
        return [self.clip, self.unreadable or counts[0], counts[1], camera, numbers[1], counts[2]]


HEADER = ("clip", "hard cuts found", "gradual found", "camera right (said)", "DAVIS J", "border events found")


def by_clip(clips: Sequence[LabelledClip], cases: Sequence[Case], said: dict[str, list[str]]) -> list[ClipLine]:
    """One line a clip, in the order of the data. `said`: the camera labels of the manifest's clips, by file name."""
    lines = []
    for clip in clips:
        mine = [case for case in cases if case.clip == clip.name]
        shots = clip.transitions is not None
        unreadable = next((case.note for case in mine if case.measure == "unreadable"), "")
        lines.append(
            ClipLine(
                clip=clip.name,
                hard_cuts=_tally("hard", mine) if shots else None,
                gradual=_tally("gradual", mine) if shots else None,
                camera=_mean("camera_label", mine),
                camera_said=", ".join(sorted(set(said.get(clip.name, [])))),
                davis_j=_mean("davis_j", mine),
                events=_tally("event", mine) if clip.events is not None else None,
                unreadable=unreadable,
            )
        )
    return lines


def _tally(measure: str, cases: Sequence[Case]) -> Tally:
    outcomes = Counter(case.outcome for case in cases if case.measure == measure)
    return Tally(outcomes["right"], outcomes["right"] + outcomes["missed"], outcomes["false"])


def _mean(measure: str, cases: Sequence[Case]) -> float | None:
    values = [case.value for case in cases if case.measure == measure and case.value is not None]
    return sum(values) / len(values) if values else None
