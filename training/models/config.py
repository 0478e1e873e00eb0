"""Which video model is trained, and from which weights."""

from typing import Literal

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
