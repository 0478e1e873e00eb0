"""Flow matching (Lipman et al. 2023): noisy = (1 - sigma) latent + sigma noise, target noise - latent."""

import torch
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import nn

from training.models.conditions import TrainingLatents, without_first_frame
from training.models.protocol import VideoModel
from training.objectives.config import ObjectiveConfig
from training.objectives.region_loss import region_loss
from training.objectives.timesteps import TRAIN_TIMESTEPS, draw_timesteps
from training.randomness import StepRandomness


class FlowMatching:
    """See `Objective`.

    Wan TI2V is told the first frame as its clean first latent frame, which therefore is no target. Wan I2V has channels
    for it, so that all latent frames are noisy and all are targets.
    """

    def __init__(self, config: ObjectiveConfig) -> None:
        scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=TRAIN_TIMESTEPS, shift=config.shift)
        self.config = config
        self._timesteps = torch.as_tensor(scheduler.timesteps).flip(0)  # ascending, as draw_timesteps counts

    def __call__(
        self, model: VideoModel, transformer: nn.Module, latents: TrainingLatents, randomness: StepRandomness
    ) -> torch.Tensor:
        video, conditions, keep = latents.video, latents.conditions, latents.keep_first_frame
        batch, _, frames = video.shape[:3]
        timesteps = self._timesteps[draw_timesteps(self.config.timesteps, randomness)].to(video.device)
        noise = randomness.normal(*video.shape[1:])
        sigmas = (timesteps / TRAIN_TIMESTEPS).view(-1, 1, 1, 1, 1)

        noisy = (1 - sigmas) * video + sigmas * noise
        if model.first_frame_as != "frame":
            prediction = model.predict(transformer, noisy, without_first_frame(conditions, ~keep), timesteps)
            everything = torch.ones(batch, frames, dtype=torch.bool, device=video.device)
            return region_loss(prediction, noise - video, latents.region, self.config.outside_weight, everything)

        given = conditions.first_frame
        is_given = torch.zeros(batch, frames, dtype=torch.bool, device=video.device)
        is_given[:, 0] = keep
        first_is_given = keep.view(-1, 1, 1, 1, 1)
        noisy = torch.cat([torch.where(first_is_given, given, noisy[:, :, :1]), noisy[:, :, 1:]], dim=2)
        told = timesteps if self.config.legacy_scalar_timestep else torch.where(is_given, 0, timesteps[:, None])

        if not self.config.full_field_first_frame:
            video = torch.cat([torch.where(first_is_given, given, video[:, :, :1]), video[:, :, 1:]], dim=2)
        counted = torch.ones_like(is_given) if self.config.legacy_first_frame_loss else ~is_given
        prediction = model.predict(transformer, noisy, conditions, told)
        return region_loss(prediction, noise - video, latents.region, self.config.outside_weight, counted)
