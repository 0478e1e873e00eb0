"""Feeders hand out a rank's batches epoch by epoch and know where they stand. This one decodes in worker processes."""

import signal
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader

from training.data.collate import TrainingBatch, collate
from training.data.dataset import SampleDataset
from training.data.schedule import Draw, Schedule, Share
from training.data.worker import set_up_worker
from training.preemption import SIGNALS


class Feeder(ABC):
    """What a training loop takes batches from.

    Iterating gives the batches that are left of the current epoch; the next iteration goes on with the next epoch. Each
    rank has a feeder of its own, so accelerate must not divide its batches again.
    """

    def __init__(self, dataset: SampleDataset, share: Share) -> None:
        self.dataset = dataset
        self.schedule = Schedule(dataset.index, dataset.config, share)

    def __len__(self) -> int:
        """Batches of the current epoch, those already handed out included."""
        return len(self.schedule.all_batches())

    def __iter__(self) -> Iterator[TrainingBatch]:
        remaining = self.schedule.all_batches()[self.schedule.batches :]
        if len(remaining):
            for batch in self._load(self.schedule.epoch, remaining):
                self.schedule.batches += 1
                yield batch
        self.schedule.next_epoch()

    def state_dict(self) -> dict[str, int | str]:
        """Where the next batch comes from, whatever has been decoded ahead."""
        return self.schedule.state_dict()

    def load_state_dict(self, state: dict[str, int | str]) -> None:
        """See `Schedule.load_state_dict`."""
        self.schedule.load_state_dict(state)

    @abstractmethod
    def _load(self, epoch: int, batches: np.ndarray) -> Iterable[TrainingBatch]:
        """Batches in order, from int64 [batches, batch_size, 2], (index, row)."""


def _set_up(worker: int) -> None:
    """Batch systems send the signal before a preemption to all processes. The present step still needs its workers."""
    for notice in SIGNALS:
        signal.signal(notice, signal.SIG_IGN)
    set_up_worker()


class WorkerFeeder(Feeder):
    """Decodes in `workers` processes of this machine; 0 decodes in this one. `prefetch`: batches ahead per worker."""

    def __init__(self, dataset: SampleDataset, share: Share, workers: int = 0, prefetch: int = 2) -> None:
        super().__init__(dataset, share)
        self._draws: list[list[Draw]] = []
        self._loader = DataLoader(
            dataset,
            batch_sampler=self._draws,
            collate_fn=collate,
            num_workers=workers,
            prefetch_factor=prefetch if workers else None,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=_set_up,
            # Its own, or every start would draw from torch's global one, and a resumed run would differ from then on.
            generator=torch.Generator(),
            # Forked workers would inherit the locks of polars', arrow's and object stores' threads.
            multiprocessing_context="spawn" if workers else None,
        )

    def _load(self, epoch: int, batches: np.ndarray) -> Iterable[TrainingBatch]:
        self._draws[:] = [[Draw(epoch, int(index), int(row)) for index, row in batch] for batch in batches]
        return self._loader
