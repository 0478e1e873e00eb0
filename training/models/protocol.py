"""What training and inference ask of a video model, whatever its family."""

from typing import Any, Literal, Protocol

import torch
from torch import nn

from training.models.conditions import Conditions

FirstFrameAs = Literal["frame", "channels", "video"]


class VideoModel(Protocol):
    """Tokenizer, text encoder, VAE and transformer of one family.

    Attributes:
        spatial_scale: px per latent cell.
        samples_posterior: training draws latents from the VAE's posterior; else they are its mode.
        noises_conditions: first frame and ID reference get noise before they are encoded in training.
        first_frame_as: how the model is told the first frame: as the clean first latent frame, which is no target then;
            on channels of its own in the first latent frame; or there as a whole video, grey after it.
        blocks: the transformer's list of blocks, the units of sharding.
        lora_targets: names of the layers that LoRA adapts.
    """

    tokenizer: Any
    text_encoder: Any
    vae: Any
    transformer: Any

    @property
    def spatial_scale(self) -> int: ...
    @property
    def samples_posterior(self) -> bool: ...
    @property
    def noises_conditions(self) -> bool: ...
    @property
    def first_frame_as(self) -> FirstFrameAs: ...
    @property
    def blocks(self) -> nn.ModuleList: ...
    @property
    def lora_targets(self) -> tuple[str, ...]: ...

    def frozen_parts(self) -> tuple[nn.Module, ...]:
        """All networks but the transformer."""
        ...

    def encode_text(self, captions: list[str]) -> torch.Tensor:
        """[B, text length, D], as the stock pipeline encodes prompts."""
        ...

    def encode_posterior(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean (the mode) and standard deviation of normalised latents, float32 [B, C, f, h, w] each.

        Args:
            pixels: [B, 3, F, H, W] in -1..1 with F = 4N+1.
        """
        ...

    def encode_pixels(self, pixels: torch.Tensor, noise: torch.Tensor | None = None) -> torch.Tensor:
        """Normalised latents, float32 [B, C, f, h, w], of pixels [B, 3, F, H, W] in -1..1 with F = 4N+1.

        Args:
            noise: standard normal, shaped like the result: a draw from the posterior; None for its mode.
        """
        ...

    def encode_first_frame(self, pixels: torch.Tensor, frames: int, noise: torch.Tensor | None = None) -> torch.Tensor:
        """`Conditions.first_frame` of pixels [B, 3, 1, H, W] in -1..1, for videos of `frames` frames."""
        ...

    def encode_image(self, pictures: torch.Tensor) -> torch.Tensor | None:
        """`Conditions.image` of first frames, uint8 [B, H, W, 3]."""
        ...

    def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """(C, f, h, w) of that many frames and px."""
        ...

    def decode_latents(self, latents: torch.Tensor) -> torch.Tensor:
        """Pixels, float32 [B, 3, F, H, W] in -1..1, of normalised latents [B, C, f, h, w]."""
        ...

    def predict(
        self, transformer: nn.Module, noisy: torch.Tensor, conditions: Conditions, timesteps: torch.Tensor
    ) -> torch.Tensor:
        """The transformer's output [B, C, f, h, w] for noisy latents of that shape, the ID's frame cut off.

        Args:
            transformer: this model's, possibly wrapped (DDP, FSDP).
            timesteps: [B] in 0..1000; Wan also takes [B, f], one for each latent frame.
        """
        ...
