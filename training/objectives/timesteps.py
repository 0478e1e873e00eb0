"""Which of the scheduler's 1000 timesteps a sample is trained at."""

import torch

from training.objectives.config import TimestepConfig
from training.randomness import StepRandomness

TRAIN_TIMESTEPS = 1000


def draw_timesteps(config: TimestepConfig, randomness: StepRandomness) -> torch.Tensor:
    """int64 [B] in 0..999, on the CPU; more is noisier."""
    share = randomness.uniform()
    if config.sampling == "logit_normal":
        # The normal quantile of a uniform draw, so that both kinds use one number per sample.
        normal = torch.special.ndtri(share.double().clamp(1e-6, 1 - 1e-6)).float()
        share = torch.sigmoid(config.logit_mean + config.logit_std * normal)
    return (share * TRAIN_TIMESTEPS).long().clamp(max=TRAIN_TIMESTEPS - 1)
