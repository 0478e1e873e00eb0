"""Object detectors: what there is in single frames of a clip."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from curation.models.objects.motion import MotionConfig
from curation.models.objects.protocol import ObjectDetector
from curation.models.planned import planned


class ObjectsConfig(Config):
    backend: Literal["motion", "oneformer"] = Field(
        default="motion", description="motion: departure from a background that is still; no weights"
    )
    motion: MotionConfig = MotionConfig()


def build_detector(config: ObjectsConfig) -> ObjectDetector:
    """The chosen backend.

    Raises:
        BackendUnavailableError: it cannot run here.
    """
    match config.backend:
        case "motion":
            from curation.models.objects.motion import MotionDetector

            return MotionDetector(config.motion)
        case "oneformer":
            raise planned("oneformer", "objects.detector.backend=motion")
