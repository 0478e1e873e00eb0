"""From noise to a video with the model that is being trained: a plain denoising loop for validation."""

from dataclasses import replace
from typing import Any

import torch
from diffusers.schedulers.scheduling_ddim_cogvideox import CogVideoXDDIMScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import nn

from training.models.conditions import Conditions
from training.models.config import Family
from training.models.protocol import VideoModel
from training.objectives.config import ObjectiveConfig


@torch.no_grad()
def denoise(
    model: VideoModel,
    transformer: nn.Module,
    family: Family,
    conditions: Conditions,
    noise: torch.Tensor,
    objective: ObjectiveConfig,
    num_inference_steps: int,
    guidance_scale: float,
) -> torch.Tensor:
    """Latents [B, C, f, h, w] of a video, from `noise` of that shape, with classifier-free guidance.

    Args:
        guidance_scale: 1 for none; then the model is called once a step.
    """
    if family == "cogvideox":
        scheduler = CogVideoXDDIMScheduler(
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            snr_shift_scale=1.0,
            timestep_spacing="trailing",
            clip_sample=False,
        )
    else:
        scheduler = FlowMatchEulerDiscreteScheduler(shift=objective.shift)
    step: Any = scheduler.step
    scheduler.set_timesteps(num_inference_steps, device=noise.device)
    empty = replace(conditions, text=model.encode_text([""] * len(noise)))
    latents = noise
    for timestep in torch.as_tensor(scheduler.timesteps):
        given, told = _given(model, latents, conditions, timestep)
        prediction = model.predict(transformer, given, conditions, told).float()
        if guidance_scale > 1:
            unguided = model.predict(transformer, given, empty, told).float()
            prediction = unguided + guidance_scale * (prediction - unguided)
        latents = step(prediction, timestep, latents, return_dict=False)[0]
    return _given(model, latents, conditions, torch.zeros(()))[0]


def _given(
    model: VideoModel, latents: torch.Tensor, conditions: Conditions, timestep: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the model is shown: Wan TI2V has the clean first frame in place, at timestep 0."""
    told = timestep.to(latents.device).expand(len(latents))
    if model.first_frame_as != "frame":
        return latents, told
    by_frame = told.float()[:, None].repeat(1, latents.shape[2])
    by_frame[:, 0] = 0
    return torch.cat([conditions.first_frame, latents[:, :, 1:]], dim=2), by_frame
