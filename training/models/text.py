"""Captions to text embeddings, exactly as the stock pipelines encode prompts."""

from typing import Any

import torch
from diffusers.pipelines.wan.pipeline_wan_i2v import prompt_clean


@torch.no_grad()
def encode_masked(tokenizer: Any, text_encoder: Any, captions: list[str], length: int) -> torch.Tensor:
    """Wan: padding is masked in the encoder and its embeddings are zero. float [B, length, D]."""
    tokens = _tokens(tokenizer, [prompt_clean(caption) for caption in captions], length)
    device = next(text_encoder.parameters()).device
    mask = tokens.attention_mask.to(device)
    states = text_encoder(tokens.input_ids.to(device), mask).last_hidden_state
    return states * mask.unsqueeze(2).to(states.dtype)


@torch.no_grad()
def encode_unmasked(tokenizer: Any, text_encoder: Any, captions: list[str], length: int) -> torch.Tensor:
    """CogVideoX: padding tokens are encoded like others. float [B, length, D]."""
    tokens = _tokens(tokenizer, captions, length)
    device = next(text_encoder.parameters()).device
    return text_encoder(tokens.input_ids.to(device))[0]


def _tokens(tokenizer: Any, captions: list[str], length: int) -> Any:
    return tokenizer(
        captions,
        padding="max_length",
        max_length=length,
        truncation=True,
        add_special_tokens=True,
        return_attention_mask=True,
        return_tensors="pt",
    )
