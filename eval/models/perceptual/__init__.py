"""Perceptual distance between frames."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from eval.models.perceptual.protocol import PerceptualDistance


class PerceptualConfig(Config):
    backend: Literal["gmsd", "lpips"] = Field(default="gmsd", description="gmsd: likeness of gradients, no weights")
    network: Literal["alex", "vgg", "squeeze"] = Field(default="alex", description="of lpips")


def build_perceptual(config: PerceptualConfig) -> PerceptualDistance:
    """The chosen backend.

    Raises:
        BackendUnavailableError: it cannot run here.
    """
    match config.backend:
        case "gmsd":
            from eval.models.perceptual.gmsd import Gmsd

            return Gmsd()
        case "lpips":
            from eval.models.perceptual.lpips import Lpips

            return Lpips(config.network)
