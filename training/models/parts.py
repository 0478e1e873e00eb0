"""A model's VAE and transformer as a config asks for them: the same steps for every family."""

from collections.abc import Callable
from typing import Any

import torch

from training.models.config import ModelConfig
from training.models.weights import cast_parameters, fetch, transformer_folder


def load_vae(kind: Any, config: ModelConfig) -> Any:
    """The base model's VAE, of diffusers class `kind`, sliced and tiled as configured.

    Raises:
        BackendUnavailableError: see `weights.fetch`.
    """
    base = fetch(config.base, config.revision)
    vae = kind.from_pretrained(base, subfolder="vae", torch_dtype=getattr(torch, config.frozen_weights))
    if config.vae_slicing:
        vae.enable_slicing()
    if config.vae_tiling:
        vae.enable_tiling()
    return vae


def load_transformer(kind: Any, config: ModelConfig, widen: Callable[[Any], None]) -> Any:
    """The transformer, of diffusers class `kind`, from `config.transformer` or else the base model; widened if need be.

    Raises:
        BackendUnavailableError, UsageError: see `weights.transformer_folder`.
    """
    source, revision = (
        (config.transformer, config.transformer_revision) if config.transformer else (config.base, config.revision)
    )
    transformer = kind.from_pretrained(transformer_folder(source, revision))
    cast_parameters(transformer, getattr(torch, config.weights))
    widen(transformer)
    return transformer
