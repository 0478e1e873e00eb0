"""Camera motion backends."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from curation.models.camera.features import FeaturesConfig
from curation.models.camera.protocol import CameraEstimator
from curation.models.planned import planned


class CameraBackendConfig(Config):
    backend: Literal["features", "vggt"] = Field(
        default="features", description="features: corners, Lucas-Kanade and RANSAC; no weights"
    )
    features: FeaturesConfig = FeaturesConfig()


def build_camera(config: CameraBackendConfig) -> CameraEstimator:
    """The chosen backend, ready to start a video.

    Raises:
        BackendUnavailableError: it cannot run here.
    """
    match config.backend:
        case "features":
            from curation.models.camera.features import FeatureCamera

            return FeatureCamera(config.features)
        case "vggt":
            raise planned("vggt", "camera.backend=features")
