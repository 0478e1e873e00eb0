"""Image scores: text area and quality of a few pictures of each clip (reference recipe, section 3)."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.contract.spans import Span
from curation.contract.tables import Tables, records, table
from curation.models.quality import QualityConfig, build_quality_scorer
from curation.models.text import TextConfig, build_text_detector
from curation.stages.kept_pictures import KeptPictures
from curation.stages.stage import FrameObserver, FrameStage, Resources
from curation.video.media import DecodedFrame, VideoHeader, fit_within

_FIRST_ONLY = "clarity"  # the recipe judges it in the first frame alone


class ImageScoreConfig(Config):
    positions: tuple[float, ...] = Field(
        default=(0.0, 0.5, 0.95),
        min_length=1,
        description="where in the clip to score, shares of its length (recipe, step 3)",
    )
    longest_side: int = Field(default=736, ge=32, description="longer side of the scored pictures, px; never enlarged")
    pictures_per_second: float = Field(default=2.0, gt=0, description="pictures kept while the video goes by")
    max_pictures: int = Field(
        default=600,
        ge=2,
        description="pictures held of a video; above, every second one goes. As many again of new views",
    )
    view_change: float = Field(
        default=20.0,
        gt=0,
        description="mean difference to the last kept picture from which a view is new, levels at 48x27",
    )
    jpeg_quality: int = Field(default=95, ge=1, le=100, description="of the pictures held")
    text: TextConfig = TextConfig()
    quality: QualityConfig = QualityConfig()


class ImageScores(FrameStage):
    """Scores pictures of the clips.

    Args:
        wanted: whether a clip is worth scoring, given its record of `clips` and its video's; others keep null scores.

    Raises:
        BackendUnavailableError: a backend's package is not installed.
    """

    name: ClassVar[str] = "image_scores"
    reads: ClassVar[tuple[str, ...]] = ("clips.start_frame", "clips.end_frame")
    writes: ClassVar[tuple[str, ...]] = (
        "clips.text_area",
        "clips.clarity",
        "clips.image_quality",
        "clips.aesthetic",
        "clips.complexity",
        "clips.classical_quality",
        "clips.colourfulness",
        "clips.edge_complexity",
        "clips.score_frames",
        "clips.text_backend",
        "clips.quality_backend",
    )
    resources: Resources = Resources(memory_mb=1024)

    def __init__(
        self,
        config: ImageScoreConfig | None = None,
        wanted: Callable[[dict[str, Any], dict[str, Any]], bool] = lambda clip, video: True,
    ) -> None:
        self.config = config or ImageScoreConfig()
        self.wanted = wanted
        self._text = build_text_detector(self.config.text)
        self._quality = build_quality_scorer(self.config.quality)

    def start(self, header: VideoHeader) -> "ImageObserver":
        return ImageObserver(self, header)

    def scores(self, pictures: Sequence[np.ndarray]) -> dict[str, Any]:
        """Score columns of a clip from its pictures, uint8 [H, W, 3] RGB, the earliest first."""
        quality = [self._quality.scores(picture) for picture in pictures]
        columns: dict[str, Any] = {name: float(np.mean([one[name] for one in quality])) for name in quality[0]}
        if _FIRST_ONLY in columns:
            columns[_FIRST_ONLY] = quality[0][_FIRST_ONLY]
        return columns | {
            "text_area": float(np.mean([self._text.area(picture) for picture in pictures])),
            "text_backend": self._text.name,
            "quality_backend": self._quality.name,
        }


class ImageObserver(FrameObserver):
    """Keeps pictures of one video. Which of them are scored is known only when its clips are."""

    def __init__(self, stage: ImageScores, header: VideoHeader) -> None:
        config = stage.config
        self._stage = stage
        self._kept = KeptPictures(
            size=fit_within(header.width, header.height, config.longest_side),
            interval=max(1, round(float(header.fps) / config.pictures_per_second)),
            most=config.max_pictures,
            view_change=config.view_change,
            jpeg_quality=config.jpeg_quality,
        )

    def observe(self, frame: DecodedFrame) -> None:
        self._kept.offer(frame)

    def finish(self, tables: Tables) -> Tables:
        """A clip of which no picture was kept, less than half a second long, has no `score_frames`, and null scores; of
        one that was not wanted, they are null."""
        (video,) = records(tables["videos"])
        clips = records(tables["clips"])
        for clip in clips:
            if not self._stage.wanted(clip, video):
                continue
            frames = self._kept.near(Span(clip["start_frame"], clip["end_frame"]), self._stage.config.positions)
            clip["score_frames"] = np.array(frames, dtype=np.int32)
            if frames:
                clip.update(self._stage.scores([self._kept.picture(frame) for frame in frames]))
        return {"clips": table("clips", clips)}
