"""Samples to a batch of tensors."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

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
    frames: torch.Tensor  # int64 [B], F each
    video: NotRequired[torch.Tensor]  # uint8 [B, F, H, W, 3]; not with a cache
    dot_places: torch.Tensor  # int32 [N, 5], of the trajectory videos' dots; their frames count on, sample after sample
    dot_pixels: torch.Tensor  # uint8 [M, 3]
    first_frame: torch.Tensor  # uint8 [B, H, W, 3]
    identity: NotRequired[torch.Tensor]  # uint8 [B, H, W, 3]; not with ID latents from a cache
    has_identity: torch.Tensor  # bool [B]
    video_mean: NotRequired[torch.Tensor]  # float32 [B, C, f, h, w]; from here on: from a cache
    video_deviation: NotRequired[torch.Tensor]  # float32 [B, C, f, h, w]
    text: NotRequired[torch.Tensor]  # float32 [B, L, D]
    identity_latents: NotRequired[torch.Tensor]  # float32 [B, C, 1, h, w]


def collate(samples: Sequence[TrainingSample]) -> TrainingBatch:
    """Stack samples; they must have one shape."""
    rows = [sample.columns() for sample in samples]
    return stack_columns({name: [row[name] for row in rows] for name in rows[0]})


def stack_columns(columns: Mapping[str, Sequence[Any] | np.ndarray]) -> TrainingBatch:
    """The same from columns of values, one per sample."""
    batch: dict[str, Any] = {}
    for name, values in columns.items():
        if isinstance(values[0], str):
            batch[name] = [str(value) for value in values]
        elif name == "dot_places":
            batch[name] = torch.from_numpy(_counted_on(values, columns["frames"]))
        elif name == "dot_pixels":
            batch[name] = torch.from_numpy(np.concatenate(list(values)))
        else:
            batch[name] = _stacked(values)
    batch["fps"] = batch["fps"].float()
    return TrainingBatch(**batch)


def _counted_on(places: Sequence[np.ndarray] | np.ndarray, frames: Sequence[int] | np.ndarray) -> np.ndarray:
    """int32 [N, 5]: the places of all samples, in frames of the samples laid end to end."""
    joined = np.concatenate(list(places))
    before = np.cumsum(frames) - frames
    joined[:, 0] += np.repeat(before, [len(own) for own in places]).astype(np.int32)
    return joined


def _stacked(values: Sequence[Any] | np.ndarray) -> torch.Tensor:
    """One sample is not copied: at full size that costs as much as decoding a few frames."""
    if len(values) == 1 and isinstance(values[0], np.ndarray) and values[0].flags.writeable:
        return torch.from_numpy(values[0])[None]
    return torch.from_numpy(np.stack([np.asarray(value) for value in values]))
