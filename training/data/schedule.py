"""What is drawn when: an epoch's order, and how it is cut into batches of one shape for any number of ranks."""

from dataclasses import dataclass

import numpy as np

from curation.contract.errors import UsageError
from curation.contract.ids import generator
from training.data.config import DataConfig
from training.data.index import SampleIndex


@dataclass(frozen=True)
class Draw:
    """One sample of an epoch. The sample depends on the seed, `epoch` and `index` alone; `row` follows from them."""

    epoch: int
    index: int
    row: int


@dataclass(frozen=True)
class Share:
    """How a global batch (the samples of one optimiser step) is divided: ranks x accumulation x batch_size.

    The same global batch gives the same steps, however it is divided.
    """

    batch_size: int = 1
    rank: int = 0
    ranks: int = 1
    accumulation: int = 1

    @property
    def global_batch(self) -> int:
        return self.batch_size * self.ranks * self.accumulation


def epoch_order(manifest_of: np.ndarray, config: DataConfig, epoch: int) -> np.ndarray:
    """int64 [n]: the row that each index of the epoch draws.

    Every manifest gives weight x its number of samples, from as many shuffles of all of them as that takes.

    Args:
        manifest_of: int [rows], position in `config.manifests`.
    """
    drawn = []
    for position, manifest in enumerate(config.manifests):
        rows = np.flatnonzero(manifest_of == position)
        if rows.size == 0:
            continue
        rng = generator(config.seed, "rows", str(epoch), str(position))
        count = max(1, round(manifest.weight * rows.size))
        shuffles = [rng.permutation(rows) for _ in range(-(-count // rows.size))]
        drawn.append(np.concatenate(shuffles)[:count])
    return generator(config.seed, "order", str(epoch)).permutation(np.concatenate(drawn))


def epoch_batches(order: np.ndarray, bucket_of: np.ndarray, share: Share) -> np.ndarray:
    """int64 [batches, batch_size, 2]: (index, row) of every sample that one rank sees in an epoch.

    Samples of one bucket wait until they fill a global batch, so that all ranks of a step have the same shape. What is
    left at the end is filled up with the epoch's first samples of the bucket, drawn anew under indices of their own.

    Args:
        order: from `epoch_order`.
        bucket_of: int [rows].
    """
    buckets = bucket_of[order]
    extra, groups = len(order), []
    for bucket in np.unique(buckets):
        places = np.flatnonzero(buckets == bucket)
        missing = -len(places) % share.global_batch
        draws = np.concatenate([places, np.arange(extra, extra + missing)])
        rows = np.concatenate([order[places], np.resize(order[places], missing)])
        extra += missing
        groups.append(np.stack([draws, rows], axis=1).reshape(-1, share.global_batch, 2))
    steps = np.concatenate(groups)
    steps = steps[np.argsort(steps[:, -1, 0], kind="stable")]  # in the order in which they fill up
    parts = steps.reshape(len(steps), share.accumulation, share.ranks, share.batch_size, 2)
    return parts[:, :, share.rank].reshape(-1, share.batch_size, 2)


class Schedule:
    """A rank's batches, and where in them a run stands: what a checkpoint keeps of a feeder.

    Attributes:
        epoch: counted from 0.
        batches: of this epoch, handed out so far.
    """

    def __init__(self, index: SampleIndex, config: DataConfig, share: Share) -> None:
        self.epoch = 0
        self.batches = 0
        self._index, self._config, self._share = index, config, share
        self._fingerprint = index.fingerprint()

    def all_batches(self) -> np.ndarray:
        """int64 [batches, batch_size, 2], (index, row), of the current epoch."""
        order = epoch_order(self._index.manifest_of, self._config, self.epoch)
        return epoch_batches(order, self._index.bucket_of, self._share)

    def next_epoch(self) -> None:
        self.epoch, self.batches = self.epoch + 1, 0

    def state_dict(self) -> dict[str, int | str]:
        """Samples that all ranks together have seen in this epoch, and of which data. The same on every rank."""
        samples = self.batches * self._share.batch_size * self._share.ranks
        return {
            "epoch": self.epoch,
            "samples": samples,
            "global_batch": self._share.global_batch,
            "fingerprint": self._fingerprint,
        }

    def load_state_dict(self, state: dict[str, int | str]) -> None:
        """Go on where `state_dict` was taken, with the same or another division of the same global batch.

        Raises:
            UsageError: the data, its config or the global batch are others, so that no place corresponds.
        """
        if state["fingerprint"] != self._fingerprint:
            raise UsageError(
                "the checkpoint was written with other samples or another data config; to train on with these, start "
                "a new run from its weights"
            )
        if state["global_batch"] != self._share.global_batch:
            raise UsageError(
                f"the checkpoint was written with a global batch of {state['global_batch']}, this run has "
                f"{self._share.global_batch} (batch size x ranks x accumulation); choose them to multiply to the same"
            )
        per_batch = self._share.batch_size * self._share.ranks
        if int(state["samples"]) % per_batch:
            raise UsageError(
                f"the checkpoint lies {state['samples']} samples into its epoch, which is no multiple of {per_batch}; "
                "resume from one written at the end of an optimiser step"
            )
        self.epoch = int(state["epoch"])
        self.batches = int(state["samples"]) // per_batch
