"""Shot detection: the video cut into spans without a change of shot."""

from collections.abc import Sequence
from typing import Any, ClassVar

from curation.contract.tables import Tables, table
from curation.models.shots import ShotConfig, build_shot_detector
from curation.models.shots.protocol import ShotPass, Transition
from curation.stages.stage import FrameObserver, FrameStage, Resources
from curation.video.media import DecodedFrame, VideoHeader


class ShotDetection(FrameStage):
    """Shots cover every frame but the mixed ones of gradual transitions, which belong to none."""

    name: ClassVar[str] = "shots"
    reads: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[str, ...]] = (
        "shots.video_id",
        "shots.shot_index",
        "shots.start_frame",
        "shots.end_frame",
        "shots.transition",
        "shots.transition_score",
        "shots.shot_backend",
    )
    resources: Resources = Resources(memory_mb=1500)

    def __init__(self, config: ShotConfig) -> None:
        self._detector = build_shot_detector(config)

    def start(self, header: VideoHeader) -> "ShotObserver":
        return ShotObserver(header.video_id, self._detector.name, self._detector.frame_size, self._detector.start())


class ShotObserver(FrameObserver):
    def __init__(self, video_id: str, backend: str, frame_size: tuple[int, int], detection: ShotPass) -> None:
        self._video_id = video_id
        self._backend = backend
        self._frame_size = frame_size
        self._detection = detection
        self._frames = 0

    def observe(self, frame: DecodedFrame) -> None:
        self._detection.add(frame.rgb(*self._frame_size))
        self._frames += 1

    def finish(self, tables: Tables) -> Tables:
        rows = shot_rows(self._frames, self._detection.finish())
        return {
            "shots": table("shots", [row | {"video_id": self._video_id, "shot_backend": self._backend} for row in rows])
        }


def shot_rows(frames: int, transitions: Sequence[Transition]) -> list[dict[str, Any]]:
    """Spans and transitions of the shots of a video of `frames` frames; `transitions` in order, apart from each other.

    A fade that opens or closes the video, and transitions that touch, leave no empty shot between them.
    """
    rows: list[dict[str, Any]] = []
    start, before = 0, None
    for change in [*transitions, None]:
        end = change.start if change else frames
        if end > start:
            rows.append({"shot_index": len(rows), "start_frame": start, "end_frame": end})
            if before and len(rows) > 1:
                rows[-1] |= {"transition": before.kind, "transition_score": before.score}
        if change:
            start, before = change.end, change
    return rows
