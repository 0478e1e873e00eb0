"""A video model by its config."""

from pathlib import Path

from training.models import cogvideox, wan
from training.models.config import TINY, ModelConfig
from training.models.protocol import VideoModel
from training.models.tiny import save_tiny


def load_model(config: ModelConfig, scratch: Path) -> VideoModel:
    """Tokenizer, text encoder and VAE frozen, transformer ready to train, all on the CPU.

    Args:
        scratch: folder in which the tiny model is built, if that is the base.

    Raises:
        BackendUnavailableError: weights are neither here nor can they be fetched.
        UsageError: a folder holds no transformer.
    """
    if config.base == TINY:
        config = config.model_copy(update={"base": str(save_tiny(config.family, scratch))})
    model = wan.load(config) if config.family == "wan" else cogvideox.load(config)
    model.vae.requires_grad_(False)
    model.text_encoder.requires_grad_(False)
    model.transformer.train()
    return model
