"""The other feeder: Ray Data decodes on whatever CPUs the cluster has, for the GPUs that train."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from curation.engine.ray_data import connect
from training.data.collate import TrainingBatch, stack_columns
from training.data.dataset import SampleDataset
from training.data.feeder import Feeder
from training.data.schedule import Draw, Share
from training.data.worker import set_up_worker

if TYPE_CHECKING:
    import ray
    import ray.data

# Frames of a few samples wait in the object store; Ray spills what does not fit to disk.
_OBJECT_STORE_BYTES = 1 << 30
# Draws that one task works through; its samples are handed on one by one as they are done.
_DRAWS_PER_TASK = 8


class RayFeeder(Feeder):
    """Like `WorkerFeeder`, with the same batches in the same order. Uses the cluster it runs on, else a private one.

    Only row numbers travel to the tasks. The ranks share the cluster's CPUs equally.
    """

    def __init__(self, dataset: SampleDataset, share: Share, workers: int | None = None, prefetch: int = 2) -> None:
        """
        Args:
            workers: CPUs of a private cluster; None for all of the machine's.
            prefetch: batches that are fetched from the cluster ahead of the one in use.
        """
        connect(workers, _OBJECT_STORE_BYTES)
        import ray

        super().__init__(dataset, share)
        self._share, self._prefetch = share, prefetch
        self._on_cluster = ray.put(dataset)

    def _load(self, epoch: int, batches: np.ndarray) -> Iterable[TrainingBatch]:
        from ray.data.collate_fn import NumpyBatchCollateFn

        class Collate(NumpyBatchCollateFn):
            def __call__(self, batch: dict[str, np.ndarray]) -> Any:
                return stack_columns(batch)

        samples = self._samples(epoch, batches.reshape(-1, 2))
        loaded = samples.iter_torch_batches(
            batch_size=self._share.batch_size, prefetch_batches=self._prefetch, collate_fn=Collate()
        )
        return cast("Iterable[TrainingBatch]", loaded)  # what stack_columns returned

    def _samples(self, epoch: int, draws: np.ndarray) -> ray.data.Dataset:
        import ray.data

        places = ray.data.range(len(draws), override_num_blocks=-(-len(draws) // _DRAWS_PER_TASK))
        build = functools.partial(_build, dataset=self._on_cluster, draws=ray.put(draws), epoch=epoch)
        samples = places.map(build)
        samples.context.enable_progress_bars = False
        options = samples.context.execution_options
        options.preserve_order = True
        options.resource_limits = options.resource_limits.copy(cpu=ray.cluster_resources()["CPU"] / self._share.ranks)
        return samples


def _build(row: dict[str, Any], dataset: ray.ObjectRef, draws: ray.ObjectRef, epoch: int) -> dict[str, Any]:
    import ray

    index, number = ray.get(draws)[row["id"]]
    return _dataset(dataset)[Draw(epoch, int(index), int(number))].columns()


@functools.lru_cache(maxsize=1)
def _dataset(reference: ray.ObjectRef) -> SampleDataset:
    """Unpickled once in a worker."""
    import ray

    set_up_worker()
    return ray.get(reference)
