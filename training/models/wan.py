"""Wan 2.2 TI2V: trajectory latents beside the noisy ones on the channel axis, the ID as a last frame."""

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from torch import nn
from torch.nn import functional
from transformers import AutoTokenizer, UMT5EncoderModel

from training.models.conditions import Conditions
from training.models.config import ModelConfig
from training.models.parts import load_transformer, load_vae
from training.models.posterior import draw_latents
from training.models.protocol import FirstFrameAs
from training.models.text import encode_masked
from training.models.weights import fetch
from training.models.widening import widen_input

# Wan2.2-TI2V-5B-Diffusers, transformer/config.json; in_channels as published for this task (48 noisy + 48 trajectory).
CONFIG_5B: dict[str, Any] = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 24,
    "attention_head_dim": 128,
    "in_channels": 96,
    "out_channels": 48,
    "text_dim": 4096,
    "freq_dim": 256,
    "ffn_dim": 14336,
    "num_layers": 30,
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
    "eps": 1e-6,
    "rope_max_seq_len": 1024,
}


@dataclass
class Wan:
    """See `VideoModel`."""

    tokenizer: Any
    text_encoder: Any
    vae: Any
    transformer: Any
    text_length: int = 512

    samples_posterior = False
    noises_conditions = False
    lora_targets = ("to_q", "to_k", "to_v", "to_out.0")

    @property
    def spatial_scale(self) -> int:
        return self.vae.config.scale_factor_spatial

    @property
    def blocks(self) -> nn.ModuleList:
        return self.transformer.blocks

    @property
    def first_frame_as(self) -> FirstFrameAs:
        return "frame"

    def frozen_parts(self) -> tuple[nn.Module, ...]:
        return self.vae, self.text_encoder

    def encode_text(self, captions: list[str]) -> torch.Tensor:
        return encode_masked(self.tokenizer, self.text_encoder, captions, self.text_length)

    @torch.no_grad()
    def encode_posterior(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        posterior = self.vae.encode(pixels.to(self.vae.dtype)).latent_dist
        latents = posterior.mean.float()
        mean, std = self._statistics(latents)
        return (latents - mean) / std, posterior.std.float() / std

    def encode_pixels(self, pixels: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        mean, deviation = self.encode_posterior(pixels)
        return draw_latents(mean, deviation, noise)

    def encode_first_frame(self, pixels: torch.Tensor, frames: int, noise: torch.Tensor | None = None) -> torch.Tensor:
        return self.encode_pixels(pixels, noise)

    def encode_image(self, pictures: torch.Tensor) -> torch.Tensor | None:
        return None

    def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        scale = self.vae.config
        return (
            scale.z_dim,
            (frames - 1) // scale.scale_factor_temporal + 1,
            height // scale.scale_factor_spatial,
            width // scale.scale_factor_spatial,
        )

    @torch.no_grad()
    def decode_latents(self, latents: torch.Tensor) -> torch.Tensor:
        mean, std = self._statistics(latents)
        return self.vae.decode((latents * std + mean).to(self.vae.dtype)).sample.float()

    def predict(
        self, transformer: nn.Module, noisy: torch.Tensor, conditions: Conditions, timesteps: torch.Tensor
    ) -> torch.Tensor:
        frames = noisy.shape[2]
        hidden = join_conditions(noisy, conditions)
        if timesteps.ndim == 2:
            timesteps = token_timesteps(timesteps, hidden, self.transformer.config.patch_size)
        output = transformer(
            hidden_states=hidden, timestep=timesteps, encoder_hidden_states=conditions.text, return_dict=False
        )[0]
        return output[:, :, :frames]

    def _statistics(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of each latent channel, [1, C, 1, 1, 1]."""
        shape = (1, -1, 1, 1, 1)
        return (
            latents.new_tensor(self.vae.config.latents_mean).view(shape),
            latents.new_tensor(self.vae.config.latents_std).view(shape),
        )


def join_conditions(noisy: torch.Tensor, conditions: Conditions) -> torch.Tensor:
    """The transformer's input: [B, 2C, f (+ the ID's), h, w]. The ID's trajectory channels are 0."""
    trajectory = conditions.trajectory
    if conditions.identity is not None:
        noisy = torch.cat([noisy, conditions.identity], dim=2)
        trajectory = functional.pad(trajectory, (0, 0, 0, 0, 0, conditions.identity.shape[2]))
    return torch.cat([noisy, trajectory], dim=1)


def token_timesteps(timesteps: torch.Tensor, hidden: torch.Tensor, patch_size: tuple[int, int, int]) -> torch.Tensor:
    """Timesteps [B, f] of latent frames as [B, tokens] of `hidden` [B, C, f (+ 1), h, w]; an ID has the last one."""
    frames, height, width = hidden.shape[2:]
    missing = frames - timesteps.shape[1]
    timesteps = torch.cat([timesteps, timesteps[:, -1:].expand(-1, missing)], dim=1)
    return timesteps.repeat_interleave((height // patch_size[1]) * (width // patch_size[2]), dim=1)


def widen(transformer: WanTransformer3DModel) -> None:
    """Give the base model's transformer the trajectory's input channels, in place; its output stays what it is."""
    widen_to(transformer, 2 * transformer.config["out_channels"])


def widen_to(transformer: WanTransformer3DModel, channels: int) -> None:
    """Give a transformer that many input channels, in place, unless it has them; its output stays what it is."""
    if transformer.config["in_channels"] != channels:
        transformer.patch_embedding = widen_input(transformer.patch_embedding, channels)
        transformer.register_to_config(in_channels=channels)


def load(config: ModelConfig, with_transformer: bool = True) -> Wan:
    """Everything from the base model, the transformer from `config.transformer` if that is set; widened if need be.

    Raises:
        BackendUnavailableError, UsageError: see `weights.transformer_folder`.
    """
    base = fetch(config.base, config.revision)
    frozen = getattr(torch, config.frozen_weights)
    return Wan(
        AutoTokenizer.from_pretrained(base, subfolder="tokenizer"),
        UMT5EncoderModel.from_pretrained(base, subfolder="text_encoder", dtype=frozen),
        load_vae(AutoencoderKLWan, config),
        load_transformer(WanTransformer3DModel, config, widen) if with_transformer else None,
        config.text_length,
    )
