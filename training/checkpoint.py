"""Checkpoints: written whole, the newest kept, and enough in each to go on as if nothing had happened.

OUTPUT/checkpoints/step-00000010/
    transformer/        diffusers layout, for inference, for stage 2 and to go on; with LoRA the LoRA weights instead
    transformer_ema/    the same of the mean weights, if there is a mean
    state/              AdamW's moments and the mean weights, for any number of processes
    progress.json       step, and where the data stands
OUTPUT/checkpoints/latest -> step-00000010
"""

import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from huggingface_hub import save_torch_state_dict
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from training.config import CheckpointConfig
from training.ema import Ema
from training.lora import save_lora
from training.models.protocol import VideoModel
from training.models.weights import TRANSFORMER

LATEST = "latest"
_STEP = "step-"
_PROGRESS = "progress.json"
_WEIGHTS = "diffusion_pytorch_model{suffix}.safetensors"


@dataclass(frozen=True)
class Progress:
    """Where a run stands after `step` optimiser steps; `data` is the feeder's state."""

    step: int
    data: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run. All methods but `newest` are called by every process."""

    def __init__(self, output: Path, config: CheckpointConfig, accelerator: Accelerator) -> None:
        self.folder = output / "checkpoints"
        self._config, self._accelerator = config, accelerator

    def newest(self) -> Path | None:
        """The whole checkpoint with the most steps."""
        return max(self._whole(), default=None)

    def save(
        self, progress: Progress, model: VideoModel, optimizer: torch.optim.Optimizer, ema: Ema | None, lora: bool
    ) -> Path:
        """Write a checkpoint under a temporary name that becomes final when it is whole; then drop the oldest."""
        final = self.folder / f"{_STEP}{progress.step:08d}"
        partial = self.folder / f".{final.name}.partial"
        if self._accelerator.is_main_process:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        self._accelerator.wait_for_everyone()

        self._save_weights(model, partial / TRANSFORMER, lora)
        if ema is not None:
            with ema.applied():
                self._save_weights(model, partial / f"{TRANSFORMER}_ema", lora)
        with _alone_or_together() as no_dist:
            save(_state(model, optimizer, ema), checkpoint_id=partial / "state", no_dist=no_dist)

        if self._accelerator.is_main_process:
            (partial / _PROGRESS).write_text(json.dumps({"step": progress.step, "data": progress.data}, indent=2))
            shutil.rmtree(final, ignore_errors=True)
            partial.rename(final)
            self._point_latest_at(final)
            for old in sorted(self._whole())[: -self._config.keep]:
                shutil.rmtree(old)
        self._accelerator.wait_for_everyone()
        return final

    def restore(
        self, checkpoint: Path, model: VideoModel, optimizer: torch.optim.Optimizer, ema: Ema | None
    ) -> Progress:
        """Read all but the weights, which the transformer was loaded with."""
        state = _state(model, optimizer, ema)
        with _alone_or_together() as no_dist:
            load(state, checkpoint_id=checkpoint / "state", no_dist=no_dist)
        set_optimizer_state_dict(model.transformer, optimizer, state["optimizer"])
        if ema is not None:
            ema.load_state_dict(state["ema"])
        return Progress(**json.loads((checkpoint / _PROGRESS).read_text()))

    def _save_weights(self, model: VideoModel, folder: Path, lora: bool) -> None:
        """Gather the transformer in the main process, which writes it for stock diffusers."""
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        state: dict[str, Any] = get_model_state_dict(model.transformer, options=options)
        if not self._accelerator.is_main_process:
            return
        folder.mkdir()
        if lora:
            save_lora(model, state, folder)
            return
        model.transformer.save_config(folder)
        state = {name: _on_its_own(tensor) for name, tensor in state.items()}
        save_torch_state_dict(state, folder, filename_pattern=_WEIGHTS, max_shard_size="10GB")

    def _point_latest_at(self, checkpoint: Path) -> None:
        link = self.folder / f".{LATEST}"
        link.unlink(missing_ok=True)
        link.symlink_to(checkpoint.name)
        link.replace(self.folder / LATEST)

    def _whole(self) -> list[Path]:
        return list(self.folder.glob(f"{_STEP}*"))


def _state(model: VideoModel, optimizer: torch.optim.Optimizer, ema: Ema | None) -> dict[str, Any]:
    state: dict[str, Any] = {"optimizer": get_optimizer_state_dict(model.transformer, optimizer)}
    if ema is not None:
        state["ema"] = ema.state_dict()
    return state


def _on_its_own(tensor: torch.Tensor) -> torch.Tensor:
    """A gathered tensor can be a view of a padded one, which safetensors refuses."""
    whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return tensor if whole else tensor.clone()


@contextmanager
def _alone_or_together() -> Iterator[bool]:
    """Whether this is the only process, in which torch warns that it saves in a single one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")
        yield not torch.distributed.is_initialized()
