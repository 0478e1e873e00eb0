"""An objective, as the loop and the tests see it."""

from typing import Protocol

import torch
from torch import nn

from training.models.conditions import TrainingLatents
from training.models.protocol import VideoModel
from training.randomness import StepRandomness


class Objective(Protocol):
    def __call__(
        self, model: VideoModel, transformer: nn.Module, latents: TrainingLatents, randomness: StepRandomness
    ) -> torch.Tensor:
        """The loss of each sample, float32 [B].

        Args:
            transformer: the model's, possibly wrapped (DDP, FSDP).
        """
        ...
