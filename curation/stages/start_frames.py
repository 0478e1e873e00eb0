"""Start frames: where in a clip samples may begin (reference recipe, section 4)."""

import math
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.contract.spans import Span
from curation.contract.tables import Tables, records, table
from curation.stages.stage import TableStage


class StartFrameConfig(Config):
    positions: tuple[float, ...] = Field(
        default=(0.0, 1 / 3, 2 / 3), description="candidates as shares of the clip's length"
    )
    snap: float = Field(
        default=0.05,
        ge=0,
        description="a candidate moves to the nearest key frame within this share of the clip's length",
    )
    min_gap: int = Field(
        default=12, ge=0, description="least distance between start frames (50 in the full recipe), frames"
    )
    min_seconds: float = Field(
        default=49 / 12,
        ge=0,
        description="least time from a start frame to the clip's end: 49 training frames at 12 fps, s",
    )


class StartFrames(TableStage):
    """Fills `clips.start_frames`; the list is empty when the clip is too short for any."""

    name: ClassVar[str] = "start_frames"
    reads: ClassVar[tuple[str, ...]] = (
        "videos.fps_num",
        "videos.fps_den",
        "videos.key_frames",
        "clips.start_frame",
        "clips.end_frame",
    )
    writes: ClassVar[tuple[str, ...]] = ("clips.start_frames",)

    def __init__(self, config: StartFrameConfig | None = None) -> None:
        self.config = config or StartFrameConfig()

    def __call__(self, tables: Tables) -> Tables:
        videos = {video["video_id"]: video for video in records(tables["videos"])}
        clips = records(tables["clips"])
        for clip in clips:
            clip["start_frames"] = np.array(self._starts(clip, videos[clip["video_id"]]), dtype=np.int32)
        return {"clips": table("clips", clips)}

    def _starts(self, clip: dict[str, Any], video: dict[str, Any]) -> list[int]:
        fps = Fraction(int(video["fps_num"]), int(video["fps_den"]))
        key_frames = [int(key) for key in video["key_frames"]]
        return start_frames(Span(clip["start_frame"], clip["end_frame"]), fps, key_frames, self.config)


def start_frames(clip: Span, fps: Fraction, key_frames: list[int], config: StartFrameConfig) -> list[int]:
    """Start frames of a clip in order, each at least `min_gap` after the one before.

    A key frame is no use if too little of the clip is left after it: then the candidate stays where it is.
    """
    # Rounded first, so that 49 / 12 s at 12 fps is 49 frames and not 50.
    needed = max(1, math.ceil(round(config.min_seconds * float(fps), 6)))
    usable = Span(clip.start, clip.end - needed + 1)
    reach = config.snap * clip.length
    starts: list[int] = []
    for position in config.positions:
        target = clip.start + round(position * clip.length)
        near = [key for key in key_frames if usable.contains(key) and abs(key - target) <= reach]
        start = min(near, key=lambda key: abs(key - target), default=target)
        if usable.contains(start) and (not starts or start - starts[-1] >= config.min_gap):
            starts.append(start)
    return starts
