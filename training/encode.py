"""From a batch of pixels and captions to latents on the device."""

from collections.abc import Mapping
from typing import Any

import torch

from training.conditioning.canvas import to_model_range
from training.models.conditions import Conditions, TrainingLatents
from training.models.protocol import VideoModel
from training.objectives.config import DropoutConfig
from training.objectives.region_loss import region_share
from training.randomness import StepRandomness

Batch = Mapping[str, Any]


@torch.no_grad()
def encode_batch(
    model: VideoModel,
    batch: Batch,
    dropout: DropoutConfig,
    randomness: StepRandomness,
    with_identity: bool,
    device: torch.device,
) -> TrainingLatents:
    """Encode what a feeder collated (`training.data`), with conditions dropped and noised as the recipe does.

    Args:
        with_identity: stage inout; stage motion has no ID frame.
    """
    captions = [
        "" if dropped else caption
        for caption, dropped in zip(batch["caption"], randomness.chance(dropout.text), strict=True)
    ]
    keep_first_frame = ~torch.tensor(randomness.chance(dropout.first_frame), device=device)
    keep_identity = ~torch.tensor(randomness.chance(dropout.identity), device=device)

    video = encode_video(model, batch["video"], randomness, device)
    trajectory = encode_video(model, batch["trajectory"], randomness, device)
    first_frame = _encode_picture(model, batch["first_frame"], randomness, device)
    identity = None
    if with_identity:
        shown = batch["identity"].to(device) * keep_identity.view(-1, 1, 1, 1)
        identity = _encode_picture(model, shown, randomness, device)
    return TrainingLatents(
        video=video,
        conditions=Conditions(model.encode_text(captions), first_frame, trajectory, identity),
        region=region_share(batch["region_box"].to(device), video.shape[3], video.shape[4], model.spatial_scale),
        keep_first_frame=keep_first_frame,
    )


def encode_video(
    model: VideoModel, pixels: torch.Tensor, randomness: StepRandomness, device: torch.device
) -> torch.Tensor:
    """Latents [B, C, f, h, w] of uint8 [B, F, H, W, 3]; drawn from the posterior where the recipe does."""
    return _encode(model, to_model_range(pixels.to(device)).permute(0, 4, 1, 2, 3), randomness)


def _encode_picture(
    model: VideoModel, pictures: torch.Tensor, randomness: StepRandomness, device: torch.device
) -> torch.Tensor:
    """Latents [B, C, 1, h, w] of uint8 [B, H, W, 3]; the pixels get noise where the recipe does."""
    pixels = to_model_range(pictures.to(device)).permute(0, 3, 1, 2)
    if model.noises_conditions:  # sigma is exp(N(-3, .5)), for pixels in -1..1
        sigma = torch.exp(randomness.normal() * 0.5 - 3.0).view(-1, 1, 1, 1)
        pixels = pixels + sigma * randomness.normal(*pixels.shape[1:])
    return _encode(model, pixels[:, :, None], randomness)


def _encode(model: VideoModel, pixels: torch.Tensor, randomness: StepRandomness) -> torch.Tensor:
    noise = randomness.normal(*model.latent_shape(*pixels.shape[2:])) if model.samples_posterior else None
    return model.encode_pixels(pixels, noise)
