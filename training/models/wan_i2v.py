"""Wan 2.1 I2V (14B): the first frame on channels of its own, beside a mask, and through CLIP; one timestep for all.

Of Wan 2.2 TI2V it has the transformer's class, the text encoder, and the ID as a last frame.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from torch import nn
from torch.nn import functional
from transformers import AutoTokenizer, CLIPImageProcessor, CLIPVisionModel, UMT5EncoderModel

from curation.contract.errors import UsageError
from training.models.conditions import Conditions
from training.models.config import ModelConfig
from training.models.parts import load_transformer, load_vae
from training.models.protocol import FirstFrameAs
from training.models.wan import Wan, join_conditions, widen_to
from training.models.weights import fetch

# Wan2.1-I2V-14B-480P-Diffusers (720P is alike), transformer/config.json; in_channels for this task: the base model's
# 36 (16 noisy, 4 of the mask, 16 of the first frame) and the trajectory's 16.
CONFIG_14B: dict[str, Any] = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 40,
    "attention_head_dim": 128,
    "in_channels": 52,
    "out_channels": 16,
    "text_dim": 4096,
    "freq_dim": 256,
    "ffn_dim": 13824,
    "num_layers": 40,
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
    "eps": 1e-6,
    "image_dim": 1280,
    "added_kv_proj_dim": 5120,
    "rope_max_seq_len": 1024,
}

# The stock transformer tells image tokens from text tokens by this number of the latter.
TEXT_LENGTH = 512


@dataclass
class WanI2V(Wan):
    """See `VideoModel`."""

    text_length: int = TEXT_LENGTH
    image_processor: Any = None
    image_encoder: Any = None

    @property
    def first_frame_as(self) -> FirstFrameAs:
        return "video"

    def frozen_parts(self) -> tuple[nn.Module, ...]:
        return *super().frozen_parts(), self.image_encoder

    @torch.no_grad()
    def encode_image(self, pictures: torch.Tensor) -> torch.Tensor:
        """The last but one layer's tokens of CLIP, [B, tokens, D]."""
        images = self.image_processor(list(pictures.permute(0, 3, 1, 2)), return_tensors="pt").pixel_values
        encoder = self.image_encoder
        return encoder(images.to(encoder.device, encoder.dtype), output_hidden_states=True).hidden_states[-2]

    def encode_first_frame(self, pixels: torch.Tensor, frames: int, noise: torch.Tensor | None = None) -> torch.Tensor:
        """[B, 4 + C, f, h, w]: the mask, 1 where a frame is given, then latents of a video that is grey after it.

        The mask's channels are the frames that a latent frame stands for; the first stands for one, four times.
        """
        latents = self.encode_pixels(functional.pad(pixels, (0, 0, 0, 0, 0, frames - 1)), noise)
        mask = torch.zeros_like(latents[:, : self.vae.config.scale_factor_temporal])
        mask[:, :, 0] = 1
        return torch.cat([mask, latents], dim=1)

    def predict(
        self, transformer: nn.Module, noisy: torch.Tensor, conditions: Conditions, timesteps: torch.Tensor
    ) -> torch.Tensor:
        output = transformer(
            hidden_states=join_first_frame(noisy, conditions),
            timestep=timesteps,
            encoder_hidden_states=conditions.text,
            encoder_hidden_states_image=conditions.image,
            return_dict=False,
        )[0]
        return output[:, :, : noisy.shape[2]]


def join_first_frame(noisy: torch.Tensor, conditions: Conditions) -> torch.Tensor:
    """The transformer's input, [B, 3C + 4, f (+ the ID's), h, w]: noisy, mask and first frame, trajectory.

    An ID's frame has its latents where others have noise, and 0 in all other channels.
    """
    told = torch.cat([conditions.first_frame, conditions.trajectory], dim=1)
    return join_conditions(noisy, replace(conditions, trajectory=told))


def widen(transformer: WanTransformer3DModel) -> None:
    """Give the base model's transformer the trajectory's input channels, in place; its output stays what it is."""
    widen_to(transformer, 3 * transformer.config["out_channels"] + 4)


def load(config: ModelConfig, with_transformer: bool = True) -> WanI2V:
    """Everything from the base model, the transformer from `config.transformer` if that is set; widened if need be.

    Raises:
        BackendUnavailableError, UsageError: see `weights.transformer_folder`; or the text length is not the model's.
    """
    if config.text_length != TEXT_LENGTH:
        raise UsageError(f"model.text_length={config.text_length}: Wan I2V takes {TEXT_LENGTH}")
    base = fetch(config.base, config.revision)
    frozen = getattr(torch, config.frozen_weights)
    return WanI2V(
        AutoTokenizer.from_pretrained(base, subfolder="tokenizer"),
        UMT5EncoderModel.from_pretrained(base, subfolder="text_encoder", dtype=frozen),
        load_vae(AutoencoderKLWan, config),
        load_transformer(WanTransformer3DModel, config, widen) if with_transformer else None,
        config.text_length,
        CLIPImageProcessor.from_pretrained(base, subfolder="image_processor"),
        CLIPVisionModel.from_pretrained(base, subfolder="image_encoder", dtype=frozen),
    )
