"""Camera motion backends."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from curation.models.alternative import or_choose
from curation.models.camera.colmap import ColmapConfig
from curation.models.camera.features import FeaturesConfig
from curation.models.camera.mapanything import MapAnythingConfig
from curation.models.camera.protocol import CameraEstimator
from curation.models.camera.spatialtracker import SpatialTrackerConfig
from curation.models.camera.vggt import VggtConfig

_INSTEAD = "camera.backend=features"


class CameraBackendConfig(Config):
    backend: Literal["features", "spatialtracker", "vggt", "mapanything", "colmap"] = Field(
        default="features",
        description="features: corners, Lucas-Kanade and RANSAC, no weights; spatialtracker (the recipe's), vggt and "
        "mapanything: poses by a network; colmap: two-view geometry by pycolmap",
    )
    features: FeaturesConfig = FeaturesConfig()
    spatialtracker: SpatialTrackerConfig = SpatialTrackerConfig()
    vggt: VggtConfig = VggtConfig()
    mapanything: MapAnythingConfig = MapAnythingConfig()
    colmap: ColmapConfig = ColmapConfig()


def build_camera(config: CameraBackendConfig) -> CameraEstimator:
    """The chosen backend, ready to start a video.

    Raises:
        BackendUnavailableError: it cannot run here.
    """
    match config.backend:
        case "features":
            from curation.models.camera.features import FeatureCamera

            return FeatureCamera(config.features)
        case "spatialtracker":
            from curation.models.camera.spatialtracker import SpatialTrackerCamera

            with or_choose(_INSTEAD):
                return SpatialTrackerCamera(config.spatialtracker)
        case "vggt":
            from curation.models.camera.vggt import VggtCamera

            with or_choose(_INSTEAD):
                return VggtCamera(config.vggt)
        case "mapanything":
            from curation.models.camera.mapanything import MapAnythingCamera

            with or_choose(_INSTEAD):
                return MapAnythingCamera(config.mapanything)
        case "colmap":
            from curation.models.camera.colmap import ColmapCamera

            with or_choose(_INSTEAD):
                return ColmapCamera(config.colmap)
