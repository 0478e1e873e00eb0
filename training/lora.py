"""LoRA: a few extra weights beside frozen ones, saved so that stock diffusers pipelines load them."""

from pathlib import Path
from typing import Any

import torch
from diffusers.loaders.lora_pipeline import CogVideoXLoraLoaderMixin
from peft import LoraConfig as PeftLoraConfig
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file

from curation.contract.errors import UsageError
from training.config import LoraConfig
from training.models.protocol import VideoModel

WEIGHTS = "pytorch_lora_weights.safetensors"  # where diffusers' load_lora_weights looks
_PREFIX = "transformer."


def add_lora(model: VideoModel, config: LoraConfig, started_from: str | None, seed: int) -> None:
    """Freeze the transformer and give its attention layers LoRA weights, which begin without effect.

    Args:
        started_from: `model.transformer` of the config.
        seed: of the half of them that begins random. All processes need the same: each keeps a part, or has a copy.

    Raises:
        UsageError: the transformer is the base model's: its new input weights are no part of a LoRA.
    """
    if started_from is None:
        raise UsageError(
            "lora: the base model has no input for trajectories yet, and a LoRA cannot hold those weights; set "
            "model.transformer to a stage-1 checkpoint or a published transformer"
        )
    model.transformer.requires_grad_(False)
    adapter = PeftLoraConfig(r=config.rank, lora_alpha=config.alpha, target_modules=list(model.lora_targets))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.transformer.add_adapter(adapter)


def save_lora(model: VideoModel, state: dict[str, torch.Tensor], folder: Path) -> None:
    """Write the LoRA weights out of a transformer's full state dict."""
    transformer: Any = model.transformer
    layers: dict[str, Any] = get_peft_model_state_dict(transformer, state_dict=state)
    adapter = transformer.peft_config["default"]
    CogVideoXLoraLoaderMixin.save_lora_weights(  # the same for Wan: keys begin with transformer.
        folder,
        transformer_lora_layers=layers,
        transformer_lora_adapter_metadata=adapter.to_dict(),
    )


def load_lora(model: VideoModel, folder: Path) -> None:
    """Read what `save_lora` wrote into the adapter that `add_lora` made."""
    saved = {name.removeprefix(_PREFIX): tensor for name, tensor in load_file(folder / WEIGHTS).items()}
    problems = set_peft_model_state_dict(model.transformer, saved)
    if problems is not None and problems.unexpected_keys:
        raise UsageError(f"{folder / WEIGHTS}: not of this model and lora.rank: {problems.unexpected_keys[:3]}")
