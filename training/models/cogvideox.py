"""CogVideoX I2V: first-frame and trajectory latents beside the noisy ones on the channel axis, the ID as last frame."""

from dataclasses import dataclass
from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import AutoencoderKLCogVideoX
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXTransformer3DModel
from torch import nn
from torch.nn import functional
from transformers import AutoTokenizer, T5EncoderModel

from training.models.conditions import Conditions
from training.models.config import ModelConfig
from training.models.identity_positions import place_identity_first, rotary_embedding
from training.models.parts import load_transformer, load_vae
from training.models.posterior import draw_latents
from training.models.protocol import FirstFrameAs
from training.models.text import encode_unmasked
from training.models.weights import fetch
from training.models.widening import widen_input

# CogVideoX-5b-I2V, transformer/config.json; in_channels as published for this task (16 noisy, first frame, trajectory).
CONFIG_5B: dict[str, Any] = {
    "num_attention_heads": 48,
    "attention_head_dim": 64,
    "in_channels": 48,
    "out_channels": 16,
    "time_embed_dim": 512,
    "text_embed_dim": 4096,
    "num_layers": 42,
    "sample_width": 90,
    "sample_height": 60,
    "sample_frames": 49,
    "max_text_seq_length": 226,
    "use_rotary_positional_embeddings": True,
    "use_learned_positional_embeddings": True,
}


@dataclass
class CogVideoX:
    """See `VideoModel`."""

    tokenizer: Any
    text_encoder: Any
    vae: Any
    transformer: Any
    text_length: int = 226

    samples_posterior = True
    noises_conditions = True
    lora_targets = ("to_q", "to_k", "to_v", "to_out.0")

    def __post_init__(self) -> None:
        if self.transformer is not None:
            place_identity_first(self.transformer)

    @property
    def spatial_scale(self) -> int:
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def blocks(self) -> nn.ModuleList:
        return self.transformer.transformer_blocks

    @property
    def first_frame_as(self) -> FirstFrameAs:
        return "channels"

    def frozen_parts(self) -> tuple[nn.Module, ...]:
        return self.vae, self.text_encoder

    def encode_text(self, captions: list[str]) -> torch.Tensor:
        return encode_unmasked(self.tokenizer, self.text_encoder, captions, self.text_length)

    @torch.no_grad()
    def encode_posterior(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        posterior = self.vae.encode(pixels.to(self.vae.dtype)).latent_dist
        scale = self.vae.config.scaling_factor
        return posterior.mean.float() * scale, posterior.std.float() * scale

    def encode_pixels(self, pixels: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        mean, deviation = self.encode_posterior(pixels)
        return draw_latents(mean, deviation, noise)

    def encode_first_frame(self, pixels: torch.Tensor, frames: int, noise: torch.Tensor | None = None) -> torch.Tensor:
        return self.encode_pixels(pixels, noise)

    def encode_image(self, pictures: torch.Tensor) -> torch.Tensor | None:
        return None

    def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        scale = self.spatial_scale
        latent_frames = (frames - 1) // self.vae.config.temporal_compression_ratio + 1
        return self.vae.config.latent_channels, latent_frames, height // scale, width // scale

    @torch.no_grad()
    def decode_latents(self, latents: torch.Tensor) -> torch.Tensor:
        return self.vae.decode((latents / self.vae.config.scaling_factor).to(self.vae.dtype)).sample.float()

    def predict(
        self, transformer: nn.Module, noisy: torch.Tensor, conditions: Conditions, timesteps: torch.Tensor
    ) -> torch.Tensor:
        frames, height, width = noisy.shape[2:]
        identity_frames = 0 if conditions.identity is None else 1
        self.transformer.patch_embed.identity_frames = identity_frames
        output = transformer(
            hidden_states=join_conditions(noisy, conditions).transpose(1, 2),
            encoder_hidden_states=conditions.text,
            timestep=timesteps,
            image_rotary_emb=rotary_embedding(self.transformer, frames, height, width, identity_frames, noisy.device),
            return_dict=False,
        )[0]
        return output[:, :frames].transpose(1, 2)


def join_conditions(noisy: torch.Tensor, conditions: Conditions) -> torch.Tensor:
    """The transformer's input: [B, 3C, f (+ 1 with an ID), h, w].

    The first frame's channels are 0 in all frames but the first, the trajectory's in the ID's frame.
    """
    first_frame = functional.pad(conditions.first_frame, (0, 0, 0, 0, 0, noisy.shape[2] - 1))
    joined = torch.cat([noisy, first_frame, conditions.trajectory], dim=1)
    if conditions.identity is None:
        return joined
    channels = (0, 2 * noisy.shape[1])
    return torch.cat([joined, functional.pad(conditions.identity, (0, 0, 0, 0, 0, 0, *channels))], dim=2)


def widen(transformer: CogVideoXTransformer3DModel) -> None:
    """Give the base model's transformer the trajectory's input channels, in place; its output stays what it is."""
    channels = 3 * transformer.config["out_channels"]
    if transformer.config["in_channels"] != channels:
        transformer.patch_embed.proj = widen_input(cast(nn.Conv2d, transformer.patch_embed.proj), channels)
        transformer.register_to_config(in_channels=channels)


def load(config: ModelConfig, with_transformer: bool = True) -> CogVideoX:
    """Everything from the base model, the transformer from `config.transformer` if that is set; widened if need be.

    Raises:
        BackendUnavailableError, UsageError: see `weights.transformer_folder`.
    """
    base = fetch(config.base, config.revision)
    frozen = getattr(torch, config.frozen_weights)
    return CogVideoX(
        AutoTokenizer.from_pretrained(base, subfolder="tokenizer"),
        T5EncoderModel.from_pretrained(base, subfolder="text_encoder", dtype=frozen),
        load_vae(AutoencoderKLCogVideoX, config),
        load_transformer(CogVideoXTransformer3DModel, config, widen) if with_transformer else None,
        config.text_length,
    )
