"""A video model by its config."""

from collections.abc import Callable
from pathlib import Path

from training.models import cogvideox, wan, wan_i2v
from training.models.config import TINY, Family, ModelConfig
from training.models.protocol import VideoModel
from training.models.tiny import save_tiny

_LOAD: dict[Family, Callable[[ModelConfig, bool], VideoModel]] = {
    "wan": wan.load,
    "wan-i2v": wan_i2v.load,
    "cogvideox": cogvideox.load,
}


def load_model(config: ModelConfig, scratch: Path, with_transformer: bool = True) -> VideoModel:
    """Text encoder and VAE frozen, transformer ready to train, all on the CPU.

    Args:
        scratch: folder in which the tiny model is built, if that is the base.
        with_transformer: False to encode only: a 5B transformer is most of what would be read.

    Raises:
        BackendUnavailableError: weights are neither here nor can they be fetched.
        UsageError: a folder holds no transformer.
    """
    if config.base == TINY:
        config = config.model_copy(update={"base": str(save_tiny(config.family, scratch))})
    model = _LOAD[config.family](config, with_transformer)
    for part in model.frozen_parts():
        part.requires_grad_(False)
    if with_transformer:
        model.transformer.train()
    return model
