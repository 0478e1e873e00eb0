"""From a batch of pixels and captions to latents on the device."""

from collections.abc import Mapping
from typing import Any

import torch

from training.conditioning.canvas import to_model_range
from training.conditioning.trajectory import paste_dots
from training.models.conditions import Conditions, TrainingLatents
from training.models.posterior import draw_latents
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

    What a cache gave is taken as it is, with the same draws, so that the result is the same.

    Args:
        with_identity: stage inout; stage motion has no ID frame.
    """
    no_text = torch.tensor(randomness.chance(dropout.text), device=device)
    keep_first_frame = ~torch.tensor(randomness.chance(dropout.first_frame), device=device)
    no_identity = torch.tensor(randomness.chance(dropout.identity), device=device)

    video = _video(model, batch, randomness, device)
    trajectory = _encode(model, video_pixels(trajectory_video(batch, device)), randomness)
    pictures = batch["first_frame"].to(device)
    pixels = _noised(model, picture_pixels(pictures), randomness)
    first_frame = model.encode_first_frame(pixels, int(batch["frames"][0]), _draw(model, pixels, randomness))
    image = model.encode_image(pictures)
    identity = _identity(model, batch, no_identity, randomness, device) if with_identity else None
    return TrainingLatents(
        video=video,
        conditions=Conditions(_text(model, batch, no_text, device), first_frame, trajectory, identity, image),
        region=region_share(batch["region_box"].to(device), video.shape[3], video.shape[4], model.spatial_scale),
        keep_first_frame=keep_first_frame,
    )


def trajectory_video(batch: Batch, device: torch.device) -> torch.Tensor:
    """uint8 [B, F, H, W, 3], made on the device: most of it is white, and only the dots travel there."""
    samples, height, width, _ = batch["first_frame"].shape
    frames = int(batch["frames"][0])
    video = torch.full((samples * frames, height, width, 3), 255, dtype=torch.uint8, device=device)
    paste_dots(video, batch["dot_places"], batch["dot_pixels"].to(device))
    return video.view(samples, frames, height, width, 3)


def video_pixels(video: torch.Tensor) -> torch.Tensor:
    """float32 [B, 3, F, H, W] in -1..1 of uint8 [B, F, H, W, 3]."""
    return to_model_range(video).permute(0, 4, 1, 2, 3)


def picture_pixels(pictures: torch.Tensor) -> torch.Tensor:
    """float32 [B, 3, 1, H, W] in -1..1 of uint8 [B, H, W, 3]."""
    return video_pixels(pictures[:, None])


def _text(model: VideoModel, batch: Batch, dropped: torch.Tensor, device: torch.device) -> torch.Tensor:
    """[B, L, D]; of the empty caption where it is dropped."""
    if "text" not in batch:
        pairs = zip(batch["caption"], dropped.tolist(), strict=True)
        return model.encode_text(["" if drop else caption for caption, drop in pairs])
    text = batch["text"].to(device)
    return torch.where(dropped.view(-1, 1, 1), model.encode_text([""]), text) if dropped.any() else text


def _video(model: VideoModel, batch: Batch, randomness: StepRandomness, device: torch.device) -> torch.Tensor:
    """Latents [B, C, f, h, w]; drawn from the posterior where the recipe does."""
    if "video_mean" not in batch:
        return _encode(model, video_pixels(batch["video"].to(device)), randomness)
    mean = batch["video_mean"].to(device)
    if not model.samples_posterior:
        return mean
    return draw_latents(mean, batch["video_deviation"].to(device), randomness.normal(*mean.shape[1:]))


def _identity(
    model: VideoModel, batch: Batch, dropped: torch.Tensor, randomness: StepRandomness, device: torch.device
) -> torch.Tensor:
    """Latents [B, C, 1, h, w]; of a black picture where it is dropped."""
    dropped = dropped.view(-1, 1, 1, 1)
    if "identity_latents" not in batch:
        pixels = picture_pixels(batch["identity"].to(device) * ~dropped)
        return _encode(model, _noised(model, pixels, randomness), randomness)
    latents = batch["identity_latents"].to(device)
    if not dropped.any():
        return latents
    black = model.encode_pixels(picture_pixels(torch.zeros_like(batch["first_frame"][:1], device=device)))
    return torch.where(dropped[..., None], black, latents)


def _noised(model: VideoModel, pixels: torch.Tensor, randomness: StepRandomness) -> torch.Tensor:
    """Pixels of a condition, with noise where the recipe adds it."""
    if not model.noises_conditions:
        return pixels
    sigma = torch.exp(randomness.normal() * 0.5 - 3.0).view(-1, 1, 1, 1, 1)  # exp(N(-3, .5)), for pixels in -1..1
    return pixels + sigma * randomness.normal(*pixels.shape[1:])


def _encode(model: VideoModel, pixels: torch.Tensor, randomness: StepRandomness) -> torch.Tensor:
    return model.encode_pixels(pixels, _draw(model, pixels, randomness))


def _draw(model: VideoModel, pixels: torch.Tensor, randomness: StepRandomness) -> torch.Tensor | None:
    """Noise for the posterior of these pixels' latents, where the recipe takes no mode."""
    return randomness.normal(*model.latent_shape(*pixels.shape[2:])) if model.samples_posterior else None
