"""Samples to a batch of tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypedDict

import numpy as np
import torch

from training.data.sample import TrainingSample


class TrainingBatch(TypedDict):
    """`TrainingSample`s of one shape, stacked. Shapes: B samples of F frames, H x W px."""

    sample_id: list[str]
    caption: list[str]
    replaces: list[str]  # empty string: the sample stands for itself
    fps: torch.Tensor  # float32 [B]
    region_box: torch.Tensor  # int64 [B, 4]
    video: torch.Tensor  # uint8 [B, F, H, W, 3], as are the pictures below
    trajectory: torch.Tensor  # uint8 [B, F, H, W, 3]
    first_frame: torch.Tensor  # uint8 [B, H, W, 3]
    identity: torch.Tensor  # uint8 [B, H, W, 3]
    has_identity: torch.Tensor  # bool [B]


def collate(samples: Sequence[TrainingSample]) -> TrainingBatch:
    """Stack samples; they must have one shape."""
    columns = {field.name: [getattr(sample, field.name) for sample in samples] for field in fields(TrainingSample)}
    return stack_columns(columns)


def stack_columns(columns: Mapping[str, Sequence[Any] | np.ndarray]) -> TrainingBatch:
    """The same from columns of values, one per sample."""
    batch: dict[str, Any] = {}
    for name, values in columns.items():
        if isinstance(values[0], str):
            batch[name] = [str(value) for value in values]
        else:
            batch[name] = _stacked(values)
    batch["fps"] = batch["fps"].float()
    return TrainingBatch(**batch)


def _stacked(values: Sequence[Any] | np.ndarray) -> torch.Tensor:
    """One sample is not copied: at full size that costs as much as decoding a few frames."""
    if len(values) == 1 and isinstance(values[0], np.ndarray) and values[0].flags.writeable:
        return torch.from_numpy(values[0])[None]
    return torch.from_numpy(np.stack([np.asarray(value) for value in values]))
