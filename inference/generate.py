"""From a request to a video: conditions, pipeline, frames, files."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
import torch
from PIL import Image

from curation.contract.errors import CurationError, UsageError
from curation.video.write import write_mp4
from inference.conditions import Conditions, preview_conditions
from inference.loading import LoadedModel, cached_model
from inference.request import FAMILY_OPTIONS, Request, dump_request, parse_request

_VERSIONED = ("diffusers", "torch", "transformers")


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
    model_revision: str
    seconds: float

    @property
    def region(self) -> np.ndarray:
        """uint8 [T, h, w, 3]: the region box's part of the frames."""
        x0, y0, x1, y1 = self.conditions.region_box
        return self.frames[:, y0:y1, x0:x1]

    def metadata(self, folder: Path) -> dict[str, Any]:
        """What makes the same video again: request, digests of its pictures and conditions, weights, versions.

        Args:
            folder: of the video; paths below it are relative to it.
        """
        request = dump_request(self.request, folder, defaults=True)
        pictures = [request["first_frame"]["picture"]] + [
            identity["picture"] for item in request["objects"] for identity in item["identities"]
        ]
        seen = self.conditions
        return {
            "request": request,
            "region_box": list(seen.region_box),
            "model_revision": self.model_revision,
            "pictures_sha256": {path: _digest(folder / path) for path in pictures},
            "conditions_sha256": hashlib.sha256(
                b"".join(part.tobytes() for part in (seen.first_frame, seen.trajectories, seen.identities))
            ).hexdigest(),
            "versions": {name: version(name) for name in _VERSIONED},
        }


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
    return Generation(request, conditions, frames, model.revision, time.monotonic() - started)


def write_generation(generation: Generation, output: Path) -> Path:
    """Write the canvas to `output` and the region box's part beside it, both at the request's rate, with metadata.

    Returns:
        Path of the region's video: NAME_region.mp4.

    Raises:
        UsageError: the folder of `output` does not exist.
    """
    if not output.absolute().parent.is_dir():
        raise UsageError(f"{output}: there is no folder {output.absolute().parent}; make it first")
    region = output.with_name(f"{output.stem}_region.mp4")
    fps = Fraction(generation.request.fps).limit_denominator(1001)
    made = generation.metadata(output.absolute().parent)
    metadata = {"title": generation.request.prompt, "comment": json.dumps(made)}
    write_mp4(output, generation.frames, fps, metadata=metadata)
    write_mp4(region, generation.region, fps, metadata=metadata)
    return region


def request_of_video(path: Path) -> Request:
    """The request that a video was generated from, read from its metadata.

    Raises:
        UsageError: it is no video of ours, or a picture that it was made from is gone or has changed.
    """
    try:
        with av.open(path) as container:
            made = json.loads(container.metadata.get("comment", ""))
        known = made["request"], made["pictures_sha256"]
    except (av.error.FFmpegError, OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{path}: not a video that was generated here; it says of no request") from None
    request = parse_request(known[0], str(path), path.parent)
    for picture, digest in known[1].items():
        if _digest(path.parent / picture) != digest:
            raise UsageError(f"{path}: was made from another {picture} than the one that is there now")
    return request


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
