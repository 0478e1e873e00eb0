"""What a model learns from and is told, as latents: the same for all families, in training and inference."""

from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class Conditions:
    """Conditions of a batch. B samples, C latent channels, f latent frames of h x w.

    Attributes:
        text: [B, L, D], padded to the model's text length.
        first_frame: [B, C, 1, h, w] of the first frame, black outside the region box; of Wan I2V [B, 4 + C, f, h, w].
        trajectory: [B, C, f, h, w] of the trajectory video.
        identity: [B, C, 1, h, w] of the ID reference (a black picture where a sample has none); None in stage motion.
            Inference may give several, [B, C, N, h, w].
        image: [B, tokens, D] of the first frame by Wan I2V's image encoder; None for other models.
    """

    text: torch.Tensor
    first_frame: torch.Tensor
    trajectory: torch.Tensor
    identity: torch.Tensor | None
    image: torch.Tensor | None = None


def without_first_frame(conditions: Conditions, dropped: torch.Tensor) -> Conditions:
    """Conditions whose first frame is 0 where `dropped`, bool [B]: for models that have channels for it."""
    keep = ~dropped.view(-1, 1, 1, 1, 1)
    image = None if conditions.image is None else conditions.image * keep.view(-1, 1, 1)
    return replace(conditions, first_frame=conditions.first_frame * keep, image=image)


@dataclass(frozen=True)
class TrainingLatents:
    """A batch on the device, ready for an objective.

    Attributes:
        video: [B, C, f, h, w] of the whole frames.
        region: float [B, 1, 1, h, w]: share of each latent cell that lies in the region box, 0..1.
        keep_first_frame: bool [B]: False where the first frame is dropped.
    """

    video: torch.Tensor
    conditions: Conditions
    region: torch.Tensor
    keep_first_frame: torch.Tensor
