"""Clip selection: which parts of which shots become clips. Short ones are kept; a rule drops them, saying so."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from curation.contract.config import Config
from curation.contract.ids import clip_id
from curation.contract.spans import Span, split_span
from curation.contract.tables import Tables, records, table
from curation.stages.stage import TableStage


class ClipConfig(Config):
    selection: Literal["all", "first"] = Field(
        default="all",
        description="all: every shot; first: only the first shot longer than min_frames (reference recipe)",
    )
    min_frames: int = Field(
        default=100, ge=0, description="what `first` asks of a shot, frames; without such a shot, the longest is taken"
    )
    longest: int = Field(
        default=500, ge=1, description="longer shots are cut into equal sections of at most this, frames"
    )
    max_sections: int | None = Field(default=None, ge=1, description="at most so many clips of a video, the first ones")


class ClipSelection(TableStage):
    """Shots into clips."""

    name: ClassVar[str] = "clips"
    reads: ClassVar[tuple[str, ...]] = ("shots.video_id", "shots.start_frame", "shots.end_frame")
    writes: ClassVar[tuple[str, ...]] = ("clips.clip_id", "clips.video_id", "clips.start_frame", "clips.end_frame")

    def __init__(self, config: ClipConfig | None = None) -> None:
        self.config = config or ClipConfig()

    def __call__(self, tables: Tables) -> Tables:
        """`shots` of one video or of several."""
        shots: dict[str, list[Span]] = {}
        for row in records(tables["shots"]):
            shots.setdefault(row["video_id"], []).append(Span(row["start_frame"], row["end_frame"]))
        rows = [_row(video, span) for video, spans in shots.items() for span in self._sections(spans)]
        return {"clips": table("clips", rows)}

    def _sections(self, shots: list[Span]) -> list[Span]:
        if self.config.selection == "first":
            longest = max(shots, key=lambda shot: shot.length)
            shots = [next((shot for shot in shots if shot.length > self.config.min_frames), longest)]
        sections = [section for shot in shots for section in split_span(shot, self.config.longest)]
        return sections[: self.config.max_sections]


def _row(video: str, span: Span) -> dict[str, Any]:
    return {
        "clip_id": clip_id(video, span.start, span.end),
        "video_id": video,
        "start_frame": span.start,
        "end_frame": span.end,
    }
