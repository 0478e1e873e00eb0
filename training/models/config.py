"""Which video model is trained, and from which weights."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from curation.contract.config import Config

Family = Literal["wan", "wan-i2v", "cogvideox"]
TINY = "tiny"


class ModelConfig(Config):
    family: Family
    base: str = Field(
        description="base model in diffusers layout: a hub repository or a local folder; tiny: random, built here"
    )
    revision: str | None = Field(default=None, description="commit of the hub repository, so that runs can be repeated")
    transformer: str | None = Field(
        default=None,
        description="transformer to start from instead of the base's: a stage-1 checkpoint, a published repository",
    )
    transformer_revision: str | None = Field(default=None, description="commit of that hub repository")
    text_length: int = Field(ge=1, description="tokens; captions are padded and cut to it")
    weights: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="type in which weights are kept and updated; bfloat16 halves memory and loses small updates",
    )
    frozen_weights: Literal["float32", "bfloat16"] = Field(default="bfloat16", description="of VAE and text encoder")
    vae_slicing: bool = Field(default=True, description="encode one sample at a time")
    vae_tiling: bool = Field(default=False, description="encode in tiles: less memory, faint seams")

    def with_absolute_folders(self) -> Self:
        """Local folders by absolute paths: Ray's workers run in another folder than the command."""
        sources = {"base": self.base, "transformer": self.transformer}
        folders = {name: Path(source).expanduser() for name, source in sources.items() if source}
        return self.model_copy(
            update={name: str(folder.absolute()) for name, folder in folders.items() if folder.is_dir()}
        )
