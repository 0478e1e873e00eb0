"""How much GPU memory generating takes, computed from the models' shapes: no weights are needed and nothing is run.

Parts are built on torch's meta device, where a tensor has a shape and no content. Their parameters give what weights
take, and a pass of the transformer, at the size that the model was trained for, what lives at the same time on top.
Attention counts as one kernel that keeps no scores, as on every GPU that computes in bfloat16.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import AutoencoderKLCogVideoX
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from torch import nn
from torch.overrides import TorchFunctionMode
from transformers import T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel

from inference.memory import LoadConfig
from inference.models import Family, ModelSpec
from training.models import cogvideox, wan
from training.models.alive import Alive
from training.models.identity_positions import place_identity_first, rotary_embedding
from training.models.weights import cast_parameters

# As in the configs of the base models' text_encoder/ and vae/.
_TEXT: dict[str, Any] = {
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}
_WAN_VAE: dict[str, Any] = {
    "base_dim": 160,
    "decoder_base_dim": 256,
    "z_dim": 48,
    "dim_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "temperal_downsample": [False, True, True],
    "latents_mean": [0.0] * 48,
    "latents_std": [1.0] * 48,
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_spatial": 16,
    "scale_factor_temporal": 4,
}
_COGVIDEOX_VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 256, 512),
    "latent_channels": 16,
    "layers_per_block": 3,
    "sample_height": 480,
    "sample_width": 720,
}

# Bytes that decoding takes besides the weights, at the size that the model was trained for: (whole, in tiles).
# `peak_bytes` gives them, in a minute that nobody should have to wait for; a slow test holds them to it.
_DECODING: dict[Family, tuple[int, int]] = {
    "wan": (10_139_000_000, 2_053_000_000),
    "cogvideox": (15_824_000_000, 4_044_000_000),
}


@dataclass(frozen=True)
class Part:
    """Bytes of one part of a pipeline.

    Attributes:
        weights: all of them.
        by_block: what of the weights is on the GPU while blocks move there one by one: the block at work, the next
            one, and what lies outside of blocks.
        work: what lives at the same time on top of weights.
    """

    weights: int
    by_block: int
    work: int


@dataclass(frozen=True)
class Footprint:
    """What the parts of a published model take, in bfloat16 but for `eight_bit`: the transformer in 8 bits."""

    text: Part
    transformer: Part
    eight_bit: Part
    vae_weights: int
    decoding: int
    decoding_in_tiles: int

    @property
    def host(self) -> int:
        """Bytes of all weights, which go through the machine's own memory and with offloading stay there."""
        return self.text.weights + self.transformer.weights + self.vae_weights

    def gpu(self, config: LoadConfig) -> int:
        """Bytes of tensors on the GPU with these options, at the most. It follows what `memory.place` does."""
        transformer = self.eight_bit if config.in_fp8 or config.quantization == "int8" else self.transformer
        text, vae = self.text, self.vae_weights
        if config.memory is None:
            work = max(text.work, transformer.work, self.decoding)
            return text.weights + transformer.weights + vae + work
        if config.memory == "24gb":
            alone = [part.weights + part.work for part in (text, transformer)]
            return max(*alone, vae + self.decoding_in_tiles)
        moving = [part.by_block + part.work for part in (text, transformer)]
        return vae + max(*moving, self.decoding_in_tiles)


@lru_cache
def footprint(spec: ModelSpec) -> Footprint:
    """Of a published model at the canvas and length that it was trained for, with one ID reference."""
    with torch.device("meta"):
        text_encoder, vae, transformer, call = (_wan if spec.family == "wan" else _cogvideox)(spec)
        for module in (text_encoder, vae, transformer):
            cast_parameters(module, torch.bfloat16)
        text_work = peak_bytes(text_encoder, lambda: text_encoder(torch.zeros(1, 512, dtype=torch.long)))
        text = _part(text_encoder, text_encoder.encoder.block, text_work)
        blocks = transformer.blocks if spec.family == "wan" else transformer.transformer_blocks
        plain = _part(transformer, blocks, peak_bytes(transformer, call))
        transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.bfloat16)
        eight_bit = replace(_part(transformer, blocks, 0), work=plain.work)
    return Footprint(text, plain, eight_bit, _bytes(vae), *_DECODING[spec.family])


def _wan(spec: ModelSpec) -> tuple[Any, Any, Any, Callable[[], Any]]:
    transformer = WanTransformer3DModel(**wan.CONFIG_5B)
    frames, rows, columns = (spec.num_frames - 1) // 4 + 2, spec.height // 16, spec.width // 16
    latents = torch.empty(1, wan.CONFIG_5B["in_channels"], frames, rows, columns, dtype=torch.bfloat16)
    timesteps = torch.empty(1, frames * (rows // 2) * (columns // 2))
    text = torch.empty(1, 512, _TEXT["d_model"], dtype=torch.bfloat16)

    def call() -> Any:  # guidance is two calls
        return transformer(latents, timesteps, text, return_dict=False)

    return UMT5EncoderModel(UMT5Config(vocab_size=256384, **_TEXT)), wan_vae(), transformer, call


def _cogvideox(spec: ModelSpec) -> tuple[Any, Any, Any, Callable[[], Any]]:
    transformer = CogVideoXTransformer3DModel(**cogvideox.CONFIG_5B)
    place_identity_first(transformer)
    cast(Any, transformer.patch_embed).identity_frames = 1
    frames, rows, columns = (spec.num_frames - 1) // 4 + 1, spec.height // 8, spec.width // 8
    latents = torch.empty(2, frames + 1, cogvideox.CONFIG_5B["in_channels"], rows, columns, dtype=torch.bfloat16)
    text = torch.empty(2, 226, _TEXT["d_model"], dtype=torch.bfloat16)
    rotary = rotary_embedding(transformer, frames, rows, columns, 1, torch.device("meta"))

    def call() -> Any:  # guidance is a batch of two
        return transformer(latents, text, torch.empty(2), image_rotary_emb=rotary, return_dict=False)

    return T5EncoderModel(T5Config(vocab_size=32128, **_TEXT)), cogvideox_vae(), transformer, call


def wan_vae() -> AutoencoderKLWan:
    return AutoencoderKLWan(**_WAN_VAE)


def cogvideox_vae() -> AutoencoderKLCogVideoX:
    return AutoencoderKLCogVideoX(**_COGVIDEOX_VAE)


def _part(module: nn.Module, blocks: nn.ModuleList, work: int) -> Part:
    weights, each = _bytes(module), [_bytes(block) for block in blocks]
    return Part(weights, weights - sum(each) + 2 * max(each), work)


def _bytes(module: nn.Module) -> int:
    return sum(part.numel() * part.element_size() for part in module.parameters())


def peak_bytes(module: nn.Module, call: Callable[[], Any]) -> int:
    """The most bytes of tensors that live at the same time during a call on the meta device, besides the weights."""
    alive = Alive(module)
    with torch.no_grad(), _OneKernelAttention(), alive:
        call()
    return alive.most


class _OneKernelAttention(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is nn.functional.scaled_dot_product_attention:
            return torch.empty_like(args[0] if args else kwargs["query"])
        return func(*args, **kwargs)
