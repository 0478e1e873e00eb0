"""AdamW, its warm-up, and what is clipped."""

from collections.abc import Iterable
from importlib.util import find_spec

import torch
from torch.distributed.tensor import DTensor

from curation.contract.errors import BackendUnavailableError, UsageError
from training.config import OptimizerConfig


def build_optimizer(config: OptimizerConfig, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """AdamW over the trainable parameters.

    Raises:
        BackendUnavailableError: eight_bit without bitsandbytes.
        UsageError: eight_bit on shards, which bitsandbytes' kernels do not take (0.50).
    """
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    options = {"lr": config.learning_rate, "betas": config.betas, "eps": config.epsilon}
    if not config.eight_bit:
        return torch.optim.AdamW(trainable, weight_decay=config.weight_decay, **options)
    if any(isinstance(parameter, DTensor) for parameter in trainable):
        raise UsageError(
            "optimizer.eight_bit: bitsandbytes cannot update shards; set parallel.sharding=none, or leave it false: "
            "moments in shards are small on many processes"
        )
    if find_spec("bitsandbytes") is None:
        raise BackendUnavailableError(
            "8-bit AdamW", "the package bitsandbytes", "run: pip install bitsandbytes, or set optimizer.eight_bit=false"
        )
    from bitsandbytes.optim import AdamW8bit  # pyright: ignore[reportMissingImports]

    return AdamW8bit(trainable, weight_decay=config.weight_decay, **options)


def set_learning_rate(optimizer: torch.optim.Optimizer, config: OptimizerConfig, step: int) -> float:
    """Set the rate for step `step`, counted from 0, and return it. A function of the step: nothing to save."""
    rate = config.learning_rate * min(1.0, (step + 1) / max(1, config.warmup_steps))
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate
