"""Random draws of a training step that depend on nothing but the seed, the step and the sample.

So a run that is resumed, or spread over more processes, draws the same noise for the same sample, and there is no
generator state to save.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence

import torch


class StepRandomness:
    """One generator for each sample of a batch, on the CPU, so that every device gets the same numbers."""

    def __init__(self, seed: int, step: int, sample_ids: Sequence[str], device: torch.device) -> None:
        """A sample that stands in the batch twice gets other numbers the second time."""
        seen: Counter[str] = Counter()
        self._generators = []
        for sample_id in sample_ids:
            key = f"{seed}/{step}/{seen[sample_id]}/{sample_id}"
            seen[sample_id] += 1
            digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
            self._generators.append(torch.Generator().manual_seed(int.from_bytes(digest, "big")))
        self._device = device

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal float32 [B, *shape]."""
        draws = [torch.randn(shape, generator=generator) for generator in self._generators]
        return torch.stack(draws).to(self._device, non_blocking=True)

    def uniform(self) -> torch.Tensor:
        """float32 [B] in 0..1, on the CPU."""
        return torch.cat([torch.rand(1, generator=generator) for generator in self._generators])

    def chance(self, probability: float) -> list[bool]:
        """For each sample True with that probability."""
        return (self.uniform() < probability).tolist()
