"""A running mean of the weights, often better to sample from than the last ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.training_utils import EMAModel

from training.config import EmaConfig


class Ema:
    """diffusers' EMAModel over the trainable parameters of a transformer, sharded as they are."""

    def __init__(self, config: EmaConfig, transformer: torch.nn.Module) -> None:
        named = {name: parameter for name, parameter in transformer.named_parameters() if parameter.requires_grad}
        self._names, self._parameters = list(named), list(named.values())
        self._mean = EMAModel(self._parameters, decay=config.decay)
        # In float32 whatever the weights are: a ten-thousandth of a difference is nothing in bfloat16.
        self._mean.to(device=self._parameters[0].device, dtype=torch.float32)

    def update(self) -> None:
        """Take in the weights after a step; early steps count more, so that the start is forgotten."""
        self._mean.step(self._parameters)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the transformer has the mean weights."""
        self._mean.store(self._parameters)
        self._mean.copy_to(self._parameters)
        try:
            yield
        finally:
            self._mean.restore(self._parameters)

    def state_dict(self) -> dict[str, Any]:
        """Mean weights by name, and how many steps they hold; tensors are those in use, so loading fills them."""
        mean = dict(zip(self._names, self._mean.shadow_params, strict=True))
        return {"mean": mean, "steps": torch.tensor(self._mean.optimization_step)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        for name, mean in zip(self._names, self._mean.shadow_params, strict=True):
            mean.copy_(state["mean"][name])
        self._mean.optimization_step = int(state["steps"])
