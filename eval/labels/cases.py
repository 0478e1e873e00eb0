"""What is scored: one case per object, event, box ... so that every number can be traced to what made it."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Outcome = Literal["right", "missed", "false"]


@dataclass(frozen=True)
class Case:
    """One thing that was looked at.

    Attributes:
        measure: what is measured, e.g. `object` or `mask_j`.
        clip: file name.
        value: for measures that are a mean.
        outcome: for measures that count: right, missed (true, not reported) or false (reported, not true).
        frame: where to look, source frame.
        object_id, truth: whom it is about, as reported and as labelled.
        note: what a person should know.
        exhaustive: everything of this kind in the file is labelled. Where it is not, false reports cannot be told, so
            right ones count for the recall only.
        box: what to draw besides the masks, [x0, y0, x1, y1] px.
    """

    measure: str
    clip: str
    value: float | None = None
    outcome: Outcome | None = None
    frame: int | None = None
    object_id: str | None = None
    truth: str | None = None
    note: str = ""
    exhaustive: bool = True
    box: list[int] | None = field(default=None)

    def record(self) -> dict[str, Any]:
        """For scores.json: what says nothing is left out."""
        unset = {"exhaustive"} if self.exhaustive else set()
        return {k: v for k, v in asdict(self).items() if k not in unset and v is not None and v != ""}
