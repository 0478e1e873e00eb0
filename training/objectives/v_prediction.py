"""v-prediction (Salimans and Ho 2022) as CogVideoX is trained, with the noise schedule of the base model.

The release weights the error of the latent by 1 / (1 - alpha-bar); that is the plain squared error of v.
"""

from typing import cast

import torch
from diffusers.schedulers.scheduling_ddim_cogvideox import CogVideoXDDIMScheduler
from torch import nn

from training.models.conditions import TrainingLatents, without_first_frame
from training.models.protocol import VideoModel
from training.objectives.config import ObjectiveConfig
from training.objectives.region_loss import region_loss
from training.objectives.timesteps import draw_timesteps
from training.randomness import StepRandomness


class VPrediction:
    """See `Objective`. All latent frames are noisy and all are targets; the first frame conditions on channels."""

    def __init__(self, config: ObjectiveConfig) -> None:
        self.config = config
        # CogVideoX-5b-I2V, scheduler/scheduler_config.json
        self._scheduler = CogVideoXDDIMScheduler(
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            snr_shift_scale=1.0,
            timestep_spacing="trailing",
            clip_sample=False,
        )

    def __call__(
        self, model: VideoModel, transformer: nn.Module, latents: TrainingLatents, randomness: StepRandomness
    ) -> torch.Tensor:
        video = latents.video
        timesteps = cast("torch.IntTensor", draw_timesteps(self.config.timesteps, randomness).to(video.device))
        noise = randomness.normal(*video.shape[1:])
        noisy = self._scheduler.add_noise(video, noise, timesteps)
        target = self._scheduler.get_velocity(video, noise, timesteps)

        conditions = without_first_frame(latents.conditions, ~latents.keep_first_frame)
        prediction = model.predict(transformer, noisy, conditions, timesteps)
        counted = torch.ones(video.shape[0], video.shape[2], dtype=torch.bool, device=video.device)
        return region_loss(prediction, target, latents.region, self.config.outside_weight, counted)
