"""The VAE's answer: a normal distribution of latents, of which training takes the mean or a draw."""

import torch


def draw_latents(mean: torch.Tensor, deviation: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
    """Latents of one shape with all arguments: the mean where `noise` (standard normal) is None, else a draw."""
    return mean if noise is None else mean + deviation * noise
