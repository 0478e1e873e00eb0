"""How a model is placed where memory is short, and what makes it faster.

What the 5B models need in bfloat16: transformer 10 to 11 GB, Wan's text encoder 11.4 GB, CogVideoX's 9.5 GB, VAE below
2 GB, and 3 to 4 GB of working memory for 20,000 tokens, 10 to 16 GB for the VAE's frames. `python -m inference doctor`
computes it (`inference/footprint.py`) and says what fits. Presets are combinations of diffusers' means:

    24gb    parts move to the GPU one after the other (model CPU offload); the VAE works in tiles
    16gb    transformer and text encoder move block by block (group offload); the VAE works in tiles
    12gb    as 16gb, and the transformer's weights are kept as 8-bit floats and computed with in bfloat16

`quantization: int8` keeps 8-bit integers instead (closer to the weights as they are, needs torchao), and a transformer
from a .gguf file keeps what is in the file; both go with every preset.

The means of 16gb and 12gb, quantization, step cache and compilation run in our tests on tiny models, where they change
no or few values; on GPUs of these sizes no preset has been measured yet, nor any of them together with compilation.
"""

from pathlib import Path
from typing import Any, Literal, Self

import torch
from diffusers.hooks.group_offloading import apply_group_offloading
from pydantic import Field, model_validator

from curation.contract.config import Config
from curation.contract.errors import UsageError

# px; diffusers' defaults for the published models.
TILES = {
    "AutoencoderKLWan": {"tile_sample_min_height": 256, "tile_sample_min_width": 256},
    "AutoencoderKLCogVideoX": {"tile_sample_min_height": 240, "tile_sample_min_width": 360},
}

Memory = Literal["24gb", "16gb", "12gb"]


class LoadConfig(Config):
    """How a model is loaded. None of it is part of a request: other machines may need another."""

    memory: Memory | None = Field(default=None, description="size of the GPU; null: everything fits")
    step_cache: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="first-block cache: skip the rest of a step when its first block changed by less than this share; "
        "0.05 is careful, 0.2 fast",
    )
    compile: bool = Field(
        default=False, description="compile the transformer's blocks by torch.compile: minutes once, faster steps after"
    )
    quantization: Literal["fp8", "int8"] | None = Field(
        default=None, description="how the transformer's weights are kept; null: bfloat16, with memory 12gb fp8"
    )
    transformer: str | None = Field(
        default=None, description="other weights: a checkpoint, a published folder, a hub repository, or a .gguf (Wan)"
    )
    lora: Path | None = Field(default=None, description="LoRA weights in diffusers' layout: a file or a folder")
    context_parallel: int | None = Field(
        default=None, ge=2, description="processes, started by torchrun, that share the transformer's tokens (Wan)"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.context_parallel is not None and self.step_cache is not None:
            raise ValueError("step_cache: processes that share tokens would decide apart; leave out context_parallel")
        if self.gguf is not None and self.quantization is not None:
            raise ValueError(f"quantization: {self.gguf} has its own; leave it out")
        return self

    @property
    def gguf(self) -> Path | None:
        """The transformer's file, if it is one in GGUF."""
        return Path(self.transformer) if self.transformer and self.transformer.endswith(".gguf") else None

    @property
    def in_fp8(self) -> bool:
        """Whether the transformer's weights are kept as 8-bit floats."""
        by_preset = self.memory == "12gb" and self.quantization is None and self.gguf is None
        return by_preset or self.quantization == "fp8"


def place(pipeline: Any, config: LoadConfig, device: torch.device) -> None:
    """Put a pipeline on the device as the preset says, and switch step cache and compilation on.

    Raises:
        UsageError: 24gb without a GPU.
    """
    if config.step_cache is not None:
        from diffusers.hooks.first_block_cache import FirstBlockCacheConfig

        pipeline.transformer.enable_cache(FirstBlockCacheConfig(threshold=config.step_cache))
    if config.compile:
        # Block by block: they are all alike, so one compilation serves them, and hooks stay outside.
        pipeline.transformer.compile_repeated_blocks()
    if config.in_fp8:
        pipeline.transformer.enable_layerwise_casting(
            storage_dtype=torch.float8_e4m3fn, compute_dtype=pipeline.transformer.dtype
        )
    if config.memory is None:
        pipeline.to(device)
        return
    # In tiles of the model's own VAE, also where another, made for smaller canvases, would make smaller ones.
    pipeline.vae.enable_tiling(**TILES[type(pipeline.vae).__name__])
    pipeline.vae.enable_slicing()
    if config.memory == "24gb":
        if device.type == "cpu":
            raise UsageError("--memory 24gb: there is no GPU here to move parts to; leave it out")
        pipeline.enable_model_cpu_offload(device=device)
        return
    moving: dict[str, Any] = {
        "onload_device": device,
        "offload_type": "block_level",
        "num_blocks_per_group": 1,
        "use_stream": device.type == "cuda",
    }
    pipeline.transformer.enable_group_offload(**moving)
    # The encoder inside: diffusers looks for blocks only one level down, and would move all 11 GB at once.
    apply_group_offloading(pipeline.text_encoder.encoder, **moving)
    pipeline.vae.to(device)
