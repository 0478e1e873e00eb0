"""Object detectors: what there is in single frames of a clip."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from curation.models.alternative import or_choose
from curation.models.objects.motion import MotionConfig
from curation.models.objects.panoptic import PanopticConfig
from curation.models.objects.protocol import ObjectDetector
from curation.models.packages import require_package


class ObjectsConfig(Config):
    backend: Literal["motion", "panoptic"] = Field(
        default="motion",
        description="motion: departure from a background that is still, no weights; panoptic: OneFormer, Mask2Former "
        "or EoMT, as the weights are",
    )
    motion: MotionConfig = MotionConfig()
    panoptic: PanopticConfig = PanopticConfig()


def build_detector(config: ObjectsConfig) -> ObjectDetector:
    """The chosen backend.

    Raises:
        BackendUnavailableError: it cannot run here.
    """
    match config.backend:
        case "motion":
            from curation.models.objects.motion import MotionDetector

            return MotionDetector(config.motion)
        case "panoptic":
            from curation.models.objects.panoptic import PanopticDetector

            with or_choose("objects.detector.backend=motion"):
                require_package("panoptic", "transformers", "transformers")
                return PanopticDetector(config.panoptic)
