"""Everything that an evaluation asks of models, built once per process."""

from dataclasses import dataclass

from curation.models.masks import build_masks
from curation.models.masks.protocol import MaskTracker
from curation.models.tracking import build_tracker
from curation.models.tracking.protocol import PointTracker
from eval.config import EvalConfig
from eval.models.answers import build_answerer
from eval.models.answers.protocol import QuestionAnswerer
from eval.models.frames import build_frame_features
from eval.models.frames.protocol import FrameFeatures
from eval.models.perceptual import build_perceptual
from eval.models.perceptual.protocol import PerceptualDistance
from eval.models.videos import build_video_features
from eval.models.videos.protocol import VideoFeatures


@dataclass(frozen=True)
class Backends:
    tracker: PointTracker
    masks: MaskTracker
    look: FrameFeatures
    fid: FrameFeatures
    fvd: list[VideoFeatures]
    perceptual: PerceptualDistance
    vlm: QuestionAnswerer | None


def build_backends(config: EvalConfig) -> Backends:
    """All backends of a config, weights loaded.

    Raises:
        BackendUnavailableError: one cannot run here; names it, what it needs, and what to do.
    """
    return Backends(
        tracker=build_tracker(config.tracking),
        masks=build_masks(config.masks),
        look=build_frame_features(config.look),
        fid=build_frame_features(config.fid),
        fvd=build_video_features(config.fvd),
        perceptual=build_perceptual(config.perceptual),
        vlm=build_answerer(config.vlm),
    )
