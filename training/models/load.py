"""A video model by its config."""

from pathlib import Path

from training.models import cogvideox, wan
from training.models.config import TINY, ModelConfig
from training.models.protocol import VideoModel
from training.models.tiny import save_tiny


def load_model(config: ModelConfig, scratch: Path, with_transformer: bool = True) -> VideoModel:
    """Tokenizer, text encoder and VAE frozen, transformer ready to train, all on the CPU.

    Args:
        scratch: folder in which the tiny model is built, if that is the base.
        with_transformer: False to encode only: a 5B transformer is most of what would be read.

    Raises:
        BackendUnavailableError: weights are neither here nor can they be fetched.
        UsageError: a folder holds no transformer.
    """
    if config.base == TINY:
        config = config.model_copy(update={"base": str(save_tiny(config.family, scratch))})
    load = wan.load if config.family == "wan" else cogvideox.load
    model = load(config, with_transformer)
    model.vae.requires_grad_(False)
    model.text_encoder.requires_grad_(False)
    if with_transformer:
        model.transformer.train()
    return model
