"""How fast it goes: samples per second, the share of time spent waiting for data, and use of the hardware."""

import time
from collections.abc import Iterator
from typing import Any, TypeVar

import torch

T = TypeVar("T")

# Dense bfloat16 peak, FLOP/s, from the vendors' data sheets; matched by the start of torch's device name.
_PEAK = {
    "NVIDIA B200": 2250e12,
    "NVIDIA H200": 989e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H100": 989e12,
    "NVIDIA A100": 312e12,
    "NVIDIA L40S": 362e12,
    "NVIDIA RTX 4090": 165e12,
    "NVIDIA GeForce RTX 4090": 165e12,
}


class Throughput:
    """Counts over the steps since the last `report`.

    Args:
        shares: parts of a global batch that processes work on at the same time.
    """

    def __init__(self, device: torch.device, shares: int) -> None:
        self._shares = shares
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
        self._peak = next((peak for start, peak in _PEAK.items() if name.startswith(start)), None)
        self._reset()

    def waited_for(self, batches: Iterator[T]) -> T:
        """The next batch; the time it takes is time without computing."""
        started = time.perf_counter()
        batch = next(batches)
        self._waited += time.perf_counter() - started
        return batch

    def count(self, samples: int, flops: float) -> None:
        """Add what this process trained on: samples, and FLOPs of their forward and backward passes."""
        self._samples += samples
        self._flops += flops

    def report(self) -> dict[str, float]:
        """samples_per_second of all processes, data_wait (share of the time), mfu (share of the peak, where known)."""
        seconds = max(time.perf_counter() - self._started, 1e-9)
        rates = {"samples_per_second": self._samples * self._shares / seconds, "data_wait": self._waited / seconds}
        if self._peak is not None:
            rates["mfu"] = self._flops / seconds / self._peak
        self._reset()
        return rates

    def _reset(self) -> None:
        self._started, self._waited, self._samples, self._flops = time.perf_counter(), 0.0, 0, 0.0


def transformer_flops(transformer: Any, tokens: int) -> float:
    """FLOPs of forward and backward for one sample: (6 N + 12 L D T) T, N parameters, L layers of width D, T tokens.

    The formula of PaLM (Chowdhery et al. 2022, appendix B). What gradient checkpointing computes again does not count.
    """
    config = transformer.config
    width = config.num_attention_heads * config.attention_head_dim
    parameters = sum(parameter.numel() for parameter in transformer.parameters())
    return (6 * parameters + 12 * config.num_layers * width * tokens) * tokens
