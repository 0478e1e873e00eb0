"""Random models of the real classes, small enough for a CPU: for tests and smoke runs. Their pictures are noise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import AutoencoderKLCogVideoX
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
from diffusers.pipelines.cogvideo.pipeline_cogvideox_image2video import CogVideoXImageToVideoPipeline
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.pipelines.wan.pipeline_wan_i2v import WanImageToVideoPipeline
from diffusers.schedulers.scheduling_ddim_cogvideox import CogVideoXDDIMScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

from training.models.config import Family

TEXT_DIM = 32
_WORDS = "a an the object thing comes in goes out from to left right top bottom"


def tiny_pipeline(family: Family, seed: int = 0) -> DiffusionPipeline:
    """The stock pipeline of that family with random weights; the same seed gives the same weights."""
    build: dict[Family, Callable[[], DiffusionPipeline]] = {"wan": _wan, "wan-i2v": _wan_i2v, "cogvideox": _cogvideox}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = build[family]()
    for module in pipeline.components.values():
        if isinstance(module, nn.Module):
            module.eval()  # as from_pretrained leaves them: without dropout
    return pipeline


def save_tiny(family: Family, folder: Path, seed: int = 0) -> Path:
    """Write such a model as a diffusers folder, unless it is there, and return the folder."""
    if not (folder / "model_index.json").is_file():
        tiny_pipeline(family, seed).save_pretrained(folder)
    return folder


def _wan() -> DiffusionPipeline:
    transformer = _wan_transformer(in_channels=48, out_channels=48)
    vae = _wan_vae(
        48,
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
        scale_factor_temporal=4,
    )
    return WanImageToVideoPipeline(
        tokenizer=_tokenizer(),
        text_encoder=_wan_text_encoder(),
        vae=vae,
        scheduler=_flow_scheduler(shift=5.0),  # pyright: ignore[reportArgumentType]: as the base model has it
        transformer=transformer,
        expand_timesteps=True,
    )


def _wan_i2v() -> DiffusionPipeline:
    transformer = _wan_transformer(in_channels=36, out_channels=16, image_dim=32, added_kv_proj_dim=48)
    vae = _wan_vae(16)
    image = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    side = {"height": 28, "width": 28}
    return WanImageToVideoPipeline(
        tokenizer=_tokenizer(),
        text_encoder=_wan_text_encoder(),
        vae=vae,
        scheduler=_flow_scheduler(shift=3.0),  # pyright: ignore[reportArgumentType]: as the base model has it
        transformer=transformer,
        image_encoder=CLIPVisionModel(image),
        image_processor=CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=side),
    )


def _wan_transformer(**channels: Any) -> WanTransformer3DModel:
    # Head dims that 3 divides as here (12, 24, 48, 128) give all implementations the same rotary split.
    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=24,
        text_dim=TEXT_DIM,
        freq_dim=32,
        ffn_dim=64,
        num_layers=2,
        rope_max_seq_len=64,
        **channels,
    )


def _wan_vae(channels: int, **residual: Any) -> AutoencoderKLWan:
    return AutoencoderKLWan(
        base_dim=8,
        z_dim=channels,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.0] * channels,
        latents_std=[0.2] * channels,  # set on random frames, so that latents come near unit variance
        **residual,
    )


def _wan_text_encoder() -> UMT5EncoderModel:
    size = _tokenizer().vocab_size
    return UMT5EncoderModel(UMT5Config(d_model=TEXT_DIM, d_kv=8, d_ff=64, num_layers=2, num_heads=4, vocab_size=size))


def _flow_scheduler(shift: float) -> UniPCMultistepScheduler:
    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)


def _cogvideox() -> DiffusionPipeline:
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=32,
        out_channels=16,
        time_embed_dim=32,
        text_embed_dim=TEXT_DIM,
        num_layers=2,
        sample_width=12,
        sample_height=8,
        sample_frames=9,
        max_text_seq_length=16,
        use_rotary_positional_embeddings=True,
        use_learned_positional_embeddings=True,
    )
    vae = AutoencoderKLCogVideoX(
        block_out_channels=(8, 8, 8, 8),  # pyright: ignore[reportArgumentType]
        latent_channels=16,
        layers_per_block=1,
        norm_num_groups=2,
        sample_height=64,
        sample_width=96,
        scaling_factor=4.0,  # set on random frames, so that latents come near unit variance
    )
    with torch.no_grad():  # a random posterior would be all noise
        vae.encoder.conv_out.conv.bias[16:] -= 8  # pyright: ignore[reportOptionalSubscript]
    text = T5Config(d_model=TEXT_DIM, d_kv=8, d_ff=64, num_layers=2, num_heads=4, vocab_size=_tokenizer().vocab_size)
    scheduler = CogVideoXDDIMScheduler(
        prediction_type="v_prediction", rescale_betas_zero_snr=True, snr_shift_scale=1.0, timestep_spacing="trailing"
    )
    return CogVideoXImageToVideoPipeline(
        tokenizer=_tokenizer(), text_encoder=T5EncoderModel(text), vae=vae, transformer=transformer, scheduler=scheduler
    )


def _tokenizer() -> Any:
    vocabulary = ["<pad>", "</s>", "<unk>", *_WORDS.split()]
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(vocabulary)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    words.post_processor = processors.TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
