"""Validation: the loss at fixed noise levels with fixed noise, and videos beside what they were asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from curation.video.write import write_mp4
from training.config import TrainingConfig
from training.encode import Batch, encode_batch, trajectory_video
from training.models.conditions import TrainingLatents
from training.models.protocol import VideoModel
from training.objectives.config import DropoutConfig
from training.objectives.protocol import Objective
from training.randomness import StepRandomness
from training.sampling import denoise

_BOX_COLOUR = (255, 160, 0)


@dataclass
class Validation:
    """Batches that stay the same during a run, and what is done with them. Called by every process."""

    config: TrainingConfig
    model: VideoModel
    objective: Objective
    batches: Sequence[Batch]
    accelerator: Accelerator
    folder: Path

    @torch.no_grad()
    def loss(self, transformer: nn.Module) -> float:
        """Mean over batches and draws of all processes. Noise and timesteps are those of every other call."""
        losses = []
        for batch in self.batches:
            for draw in range(self.config.validation.draws):
                randomness = self._randomness(draw, batch)
                latents = self._encode(batch, randomness)
                with self.accelerator.autocast():
                    losses.append(self.objective(self.model, transformer, latents, randomness).mean())
        mean: Any = self.accelerator.reduce(torch.stack(losses).mean(), reduction="mean")
        return float(mean)

    @torch.no_grad()
    def write_videos(self, transformer: nn.Module, step: int) -> list[Path]:
        """One mp4 for each sample: the source with its region box, the trajectory video, what the model makes of it."""
        written = []
        settings = self.config.validation
        for position, batch in enumerate(self.batches[: settings.videos]):
            randomness = self._randomness(0, batch)
            latents = self._encode(batch, randomness)
            noise = randomness.normal(*latents.video.shape[1:])
            with self.accelerator.autocast():
                generated = denoise(
                    self.model,
                    transformer,
                    self.config.model.family,
                    latents.conditions,
                    noise,
                    self.config.objective,
                    settings.num_inference_steps,
                    settings.guidance_scale,
                )
            if self.accelerator.process_index % self.config.parallel.context:
                continue  # the first of those that share these tokens writes the video
            video = self.model.decode_latents(generated[:1])[0].permute(1, 2, 3, 0)
            pictures = ((video.clamp(-1, 1) + 1) * 127.5).round().byte().cpu().numpy()
            name = f"step-{step:08d}_process-{self.accelerator.process_index}_{position}.mp4"
            self.folder.mkdir(parents=True, exist_ok=True)
            fps = Fraction(float(batch["fps"][0])).limit_denominator(1001)
            write_mp4(self.folder / name, _beside(batch, pictures), fps)
            written.append(self.folder / name)
        return written

    def _randomness(self, draw: int, batch: Batch) -> StepRandomness:
        # Steps below 0 are never trained, so that validation has noise of its own.
        return StepRandomness(self.config.loop.seed, -1 - draw, batch["sample_id"], self.accelerator.device)

    def _encode(self, batch: Batch, randomness: StepRandomness) -> TrainingLatents:
        with_identity = self.config.data.stage == "inout"
        device = self.accelerator.device
        return encode_batch(self.model, batch, DropoutConfig(), randomness, with_identity, device)


def _beside(batch: Batch, generated: np.ndarray) -> list[np.ndarray]:
    """Frames uint8 [H, 3W, 3] of the first sample: source with region box, trajectories, generated with region box."""
    x0, y0, x1, y1 = (int(value) for value in batch["region_box"][0])
    rows = []
    trajectories = trajectory_video(batch, torch.device("cpu"))[0]
    for source, trajectory, made in zip(batch["video"][0], trajectories, generated, strict=True):
        boxed = [np.array(source, order="C"), np.array(made, order="C")]  # copies: the batch is used again
        for picture in boxed:
            cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), _BOX_COLOUR, 2)
        rows.append(np.concatenate([boxed[0], np.asarray(trajectory), boxed[1]], axis=1))
    return rows
