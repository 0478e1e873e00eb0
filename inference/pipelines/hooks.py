"""What both pipelines share: pixels as tensors, and a transformer that is given more than the stock loop knows of."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from training.conditioning.canvas import to_model_range

Pixels = np.ndarray | torch.Tensor
"""uint8 arrays [..., H, W, 3] RGB, or float tensors [..., 3, H, W] in -1..1."""


def video_tensor(video: Pixels, batch: int) -> torch.Tensor:
    """float32 [1 or batch, 3, F, H, W] in -1..1.

    Args:
        video: uint8 [F, H, W, 3] or [B, F, H, W, 3], or float [B, 3, F, H, W] in -1..1. One serves the whole batch.

    Raises:
        ValueError: it has another shape, or is neither one nor `batch` videos.
    """
    if isinstance(video, np.ndarray):
        video = torch.from_numpy(to_model_range(video if video.ndim == 5 else video[None])).permute(0, 4, 1, 2, 3)
    if video.ndim != 5 or video.shape[1] != 3 or video.shape[0] not in (1, batch):
        raise ValueError(f"expected one video or {batch}, [B, 3, F, H, W], got shape {tuple(video.shape)}")
    return video.float()


def identity_tensor(pictures: Pixels, batch: int) -> torch.Tensor:
    """float32 [1 or batch, N, 3, H, W] in -1..1.

    Args:
        pictures: uint8 [N, H, W, 3] or [B, N, H, W, 3], or float [B, N, 3, H, W] in -1..1, at canvas size.

    Raises:
        ValueError: see `video_tensor`.
    """
    if isinstance(pictures, np.ndarray):
        pictures = torch.from_numpy(to_model_range(pictures if pictures.ndim == 5 else pictures[None]))
        pictures = pictures.permute(0, 1, 4, 2, 3)
    if pictures.ndim != 5 or pictures.shape[2] != 3 or pictures.shape[0] not in (1, batch):
        raise ValueError(f"expected ID pictures for one video or {batch}, [B, N, 3, H, W], got {tuple(pictures.shape)}")
    return pictures.float()


def batch_of(prompt: str | list[str] | None, prompt_embeds: torch.Tensor | None) -> int:
    """How many videos a call is for, before `num_videos_per_prompt`."""
    if prompt_embeds is not None:
        return prompt_embeds.shape[0]
    return len(prompt) if isinstance(prompt, list) else 1


def spread(latents: torch.Tensor, count: int) -> torch.Tensor:
    """Conditions [B, ...] of one or several videos as [count, ...], where every B-th part is of the same video."""
    return latents.repeat_interleave(count // latents.shape[0], dim=0)


def check_scheduler(scheduler: Any, prediction_type: str) -> None:
    """Refuse a scheduler that reads the transformer's output as something else: it would run, and make noise.

    Args:
        prediction_type: what the transformer was trained to predict: "flow_prediction" (flow matching) or
            "v_prediction" (on a schedule of discrete steps).

    Raises:
        ValueError: the scheduler is for other models, or was made for another prediction.
    """
    name, config = type(scheduler).__name__, scheduler.config
    if prediction_type == "flow_prediction":
        # A config keeps options of the scheduler that it was made from, also those that this class does not know.
        knows_flow = "use_flow_sigmas" in inspect.signature(type(scheduler)).parameters and config["use_flow_sigmas"]
        fits = name.startswith("FlowMatch") or (knows_flow and config["prediction_type"] == prediction_type)
        others = "a FlowMatch scheduler; or UniPC, DEIS or DPMSolver with use_flow_sigmas=True"
    else:
        fits = config.get("prediction_type") == prediction_type and hasattr(scheduler, "alphas_cumprod")
        others = "CogVideoXDDIM, CogVideoXDPM, DDIM, DDPM, DPMSolver, DEIS, UniPC, Euler, Heun, KDPM2, LMS or PNDM"
    if not fits:
        raise ValueError(f"{name} does not fit, the model needs prediction_type={prediction_type!r}: {others}")


@contextmanager
def conditioned(
    transformer: nn.Module,
    before: Callable[[dict[str, Any]], dict[str, Any]],
    after: Callable[[torch.Tensor], torch.Tensor],
) -> Iterator[None]:
    """Let `before` change what the transformer is called with, and `after` what it returns, while this lasts.

    The transformer has to be called by keyword and with return_dict=False, as the stock loops do. Hooks stand outside
    of its forward, so offloading, caching and compiled blocks work as ever.
    """
    handles = [
        transformer.register_forward_pre_hook(lambda _, args, kwargs: (args, before(kwargs)), with_kwargs=True),
        transformer.register_forward_hook(lambda _, args, output: (after(output[0]), *output[1:])),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
