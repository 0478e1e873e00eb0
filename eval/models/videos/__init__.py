"""Features of whole videos, for FVD."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from eval.models.videos.protocol import VideoFeatures

VideoBackend = Literal["motion_look", "i3d", "videomae"]


class I3dConfig(Config):
    weights: str = Field(
        default="flateon/FVD-I3D-torchscript", description="hub repository or folder with i3d_torchscript.pt, or a file"
    )
    revision: str | None = Field(
        default="1c2d61711c52571ad617a1063e6fa691b212e184",
        description="commit of the repository; null for the newest, also of another one",
    )


class VideoMaeConfig(Config):
    weights: str = Field(
        default="MCG-NJU/videomae-base-finetuned-ssv2", description="hub repository or folder of a VideoMAEModel"
    )
    revision: str | None = Field(default=None, description="commit of the repository; null: its newest")


class VideosConfig(Config):
    backends: tuple[VideoBackend, ...] = Field(
        default=("motion_look",), description="one FVD each; motion_look: looks and optical flow, no weights"
    )
    i3d: I3dConfig = I3dConfig()
    videomae: VideoMaeConfig = VideoMaeConfig()


def build_video_features(config: VideosConfig) -> list[VideoFeatures]:
    """The chosen backends, their weights loaded.

    Raises:
        BackendUnavailableError: one cannot run here.
    """
    return [_build(backend, config) for backend in config.backends]


def _build(backend: VideoBackend, config: VideosConfig) -> VideoFeatures:
    match backend:
        case "motion_look":
            from eval.models.videos.motion_look import MotionLook

            return MotionLook()
        case "i3d":
            from eval.models.videos.i3d import I3d

            return I3d(config.i3d.weights, config.i3d.revision)
        case "videomae":
            from eval.models.videos.videomae import VideoMae

            return VideoMae(config.videomae.weights, config.videomae.revision)
