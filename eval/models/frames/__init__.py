"""Features of pictures: for similarity to the ID reference, and for FID."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from eval.models.frames.protocol import FrameFeatures


class DinoConfig(Config):
    weights: str = Field(default="facebook/dinov2-base", description="hub repository or folder of a Dinov2Model")
    revision: str | None = Field(
        default="f9e44c814b77203eaa57a6bdbbd535f21ede1415",
        description="commit of the repository; null for the newest, also of another one",
    )


class InceptionConfig(Config):
    weights: str | None = Field(
        default=None, description="torch-fidelity's Inception-v3 file; null: fetched by torch-fidelity"
    )


class FramesConfig(Config):
    backend: Literal["look", "dinov2", "inception"] = Field(
        default="look", description="look: colours and edges, no weights; dinov2 and inception: the literature's"
    )
    dinov2: DinoConfig = DinoConfig()
    inception: InceptionConfig = InceptionConfig()


def build_frame_features(config: FramesConfig) -> FrameFeatures:
    """The chosen backend, its weights loaded.

    Raises:
        BackendUnavailableError: it cannot run here.
    """
    match config.backend:
        case "look":
            from eval.models.frames.look import Look

            return Look()
        case "dinov2":
            from eval.models.frames.dinov2 import Dinov2

            return Dinov2(config.dinov2.weights, config.dinov2.revision)
        case "inception":
            from eval.models.frames.inception import Inception

            return Inception(config.inception.weights)
