"""From a request to a video: conditions, pipeline, frames."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from curation.contract.errors import CurationError, UsageError
from inference.conditions import Conditions, preview_conditions
from inference.loading import LoadedModel, cached_model
from inference.request import FAMILY_OPTIONS, Request


class GenerationCancelledError(CurationError):
    """Somebody said stop."""


@dataclass(frozen=True)
class Generation:
    """A generated video and what it was made from.

    Attributes:
        request: with nothing left to defaults.
        frames: uint8 [T, H, W, 3] RGB, the whole canvas.
        seconds: that it took, without loading the model.
    """

    request: Request
    conditions: Conditions
    frames: np.ndarray
    model: LoadedModel
    seconds: float

    @property
    def region(self) -> np.ndarray:
        """uint8 [T, h, w, 3]: the region box's part of the frames."""
        x0, y0, x1, y1 = self.conditions.region_box
        return self.frames[:, y0:y1, x0:x1]


def generate(
    request: Request,
    model: LoadedModel | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Generation:
    """Generate the video of a request. The same request, weights, device and versions give the same frames.

    Args:
        model: loaded from the request's model name when None, and kept for the next call.
        progress: called after every step with (steps done, steps in all).
        cancelled: asked after every step whether to stop.

    Raises:
        GenerationCancelledError: `cancelled` said so.
        UsageError: a picture cannot be read, or the model is not the request's.
    """
    model = model or cached_model(request.model)
    if model.name != request.model:
        raise UsageError(f"the request is for {request.model}, but {model.name} is loaded")
    started = time.monotonic()
    request = request.resolved()
    conditions = preview_conditions(request)

    def after_step(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if progress is not None:
            progress(step + 1, pipeline.num_timesteps)
        if cancelled is not None and cancelled():
            raise GenerationCancelledError(f"stopped after {step + 1} of {pipeline.num_timesteps} steps")
        return tensors

    width, height = request.size
    try:
        video = model.pipeline(
            Image.fromarray(conditions.first_frame),
            conditions.trajectories,
            conditions.identities if len(conditions.identities) else None,
            request.prompt,
            negative_prompt=request.negative_prompt,
            height=height,
            width=width,
            num_frames=request.num_frames,
            num_inference_steps=request.num_inference_steps,
            guidance_scale=request.guidance_scale,
            generator=torch.Generator("cpu").manual_seed(request.seed),  # the same noise whatever the device
            output_type="np",
            callback_on_step_end=after_step,
            **{name: getattr(request, name) for name in FAMILY_OPTIONS[request.spec.family]},
        ).frames[0]
    finally:
        model.pipeline.maybe_free_model_hooks()  # after a stop, offloaded parts and caches are as before
    frames = (video * 255).round().clip(0, 255).astype(np.uint8)
    return Generation(request, conditions, frames, model, time.monotonic() - started)
