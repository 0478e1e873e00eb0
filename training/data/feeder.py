"""Feeders hand out a rank's batches epoch by epoch and know where they stand. This one decodes in worker processes."""

from collections.abc import Iterator
from typing import Protocol

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from training.data.collate import TrainingBatch, collate
from training.data.dataset import SampleDataset
from training.data.schedule import Draw, Position, Share, epoch_batches


class Feeder(Protocol):
    """What the training loop takes batches from.

    Iterating gives the batches that are left of the current epoch; the next iteration goes on with the next one.
    """

    def __len__(self) -> int:
        """Batches of the current epoch, those already handed out included."""
        ...

    def __iter__(self) -> Iterator[TrainingBatch]: ...

    def state_dict(self) -> dict[str, int | str]: ...

    def load_state_dict(self, state: dict[str, int | str]) -> None: ...


class _RemainingBatches(Sampler[list[Draw]]):
    """The draws of an epoch's batches from a position on; the position moves only when an iteration begins."""

    def __init__(self, dataset: SampleDataset, share: Share, position: Position) -> None:
        self._dataset, self._share, self._position = dataset, share, position

    def __len__(self) -> int:
        return len(self._all()) - self._position.batches

    def __iter__(self) -> Iterator[list[Draw]]:
        epoch = self._position.epoch
        for batch in self._all()[self._position.batches :]:
            yield [Draw(epoch, int(index), int(row)) for index, row in batch]

    def _all(self) -> np.ndarray:
        return epoch_batches(self._dataset.index, self._dataset.config, self._position.epoch, self._share)


class WorkerFeeder:
    """Decodes in `workers` processes of this machine; 0 decodes in this one.

    Do not let accelerate shard it: it gives each rank its own batches already.
    """

    def __init__(self, dataset: SampleDataset, share: Share, workers: int = 0, prefetch: int = 2) -> None:
        self._position = Position(dataset.index, dataset.config, share)
        self._dataset, self._share = dataset, share
        self._batches = _RemainingBatches(dataset, share, self._position)
        self._loader = DataLoader(
            dataset,
            batch_sampler=self._batches,
            collate_fn=collate,
            num_workers=workers,
            prefetch_factor=prefetch if workers else None,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=_one_thread,
            # Its own, or every start would draw from torch's global one, and a resumed run would differ from then on.
            generator=torch.Generator(),
            # Forked workers would inherit the locks of polars', arrow's and object stores' threads.
            multiprocessing_context="spawn" if workers else None,
        )

    def __len__(self) -> int:
        return len(self._batches) + self._position.batches

    def __iter__(self) -> Iterator[TrainingBatch]:
        for batch in self._loader:
            self._position.batches += 1
            yield batch
        self._position.epoch, self._position.batches = self._position.epoch + 1, 0

    def state_dict(self) -> dict[str, int | str]:
        return self._position.state_dict()

    def load_state_dict(self, state: dict[str, int | str]) -> None:
        self._position.load_state_dict(state)


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(1)
