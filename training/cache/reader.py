"""Reading of a cache: keys in memory, values when they are asked for."""

from typing import Any

import numpy as np
import pyarrow as pa

from curation.contract.errors import UsageError, VideoError
from curation.contract.manifest import RunFolder
from curation.contract.tables import as_array
from training.cache.schemas import DATASETS, IDENTITY, TEXT, VIDEO
from training.data.rows import read_row

PASS = "precompute"


class LatentCache:
    """The committed values of a cache. Picklable; holds 44 bytes for each of them.

    Attributes:
        has_identity: ID latents are in it: the model takes them as they are, and the stage has IDs.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        folder = RunFolder(uri)
        shards = folder.shards(f"ledger/{PASS}")  # what is not in there is not committed
        self._places = {dataset: _Places(folder, dataset, shards) for dataset in DATASETS}
        self.has_identity = bool(len(self._places[IDENTITY]))

    def has(self, dataset: str, key: str) -> bool:
        """Whether it was computed, also if all that came of it is an error."""
        return self._places[dataset].find(key) is not None

    def has_values(self, dataset: str, key: str) -> bool:
        """Whether values are there, not just an error."""
        return self._places[dataset].has_values(key)

    def video(self, key: str) -> tuple[np.ndarray, np.ndarray | None]:
        """Mean and standard deviation, float32 [C, f, h, w]; no deviation where training takes the mean.

        Raises:
            VideoError: the video could not be read when the cache was made.
            UsageError: see `_row`.
        """
        row = self._row(VIDEO, key, ["shape", "mean", "deviation", "error"])
        if row["error"][0].is_valid:
            raise VideoError(f"not in the cache {self.uri}: {row['error'][0].as_py()}")
        deviation = _array(row, "deviation") if row["deviation"][0].is_valid else None
        return _array(row, "mean"), deviation

    def text(self, key: str) -> np.ndarray:
        """float32 [tokens, D]."""
        return _array(self._row(TEXT, key, ["shape", "embedding"]), "embedding")

    def identity(self, key: str) -> np.ndarray:
        """float32 [C, 1, h, w]."""
        return _array(self._row(IDENTITY, key, ["shape", "mean"]), "mean")

    def _row(self, dataset: str, key: str, columns: list[str]) -> pa.Table:
        """
        Raises:
            UsageError: the cache lacks it, as the manifest has changed since, or grown.
        """
        place = self._places[dataset].find(key)
        if place is None:
            raise UsageError(
                f"{self.uri}: lacks {dataset} of a sample; run `python -m training precompute` again with the same "
                "settings: it adds what is missing"
            )
        return read_row(self.uri, dataset, *place, columns)


class _Places:
    """Where the row of each key lies: sorted keys, searched by halving."""

    def __init__(self, folder: RunFolder, dataset: str, shards: list[str]) -> None:
        keys, errors, shard_of, row_of = [], [], [], []
        columns = ["key", "error"] if dataset == VIDEO else ["key"]
        for number, shard in enumerate(shards):
            table = folder.open_shard(dataset, shard).read(columns=columns, use_threads=False)
            keys.append(np.array(table["key"].to_pylist(), "S32"))
            errors.append(table["error"].is_valid().to_numpy() if dataset == VIDEO else np.zeros(len(table), bool))
            shard_of.append(np.full(len(table), number, np.int32))
            row_of.append(np.arange(len(table), dtype=np.int32))
        self._shards = shards
        self._keys = np.concatenate(keys) if keys else np.empty(0, "S32")
        if len(self._keys):
            errors = np.concatenate(errors)
            order = np.lexsort((errors, self._keys))  # what failed once and was read later counts as read
            self._keys, self._errors = self._keys[order], errors[order]
            self._shard_of, self._row_of = np.concatenate(shard_of)[order], np.concatenate(row_of)[order]

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key: str) -> tuple[str, int] | None:
        """Shard and row."""
        at = self._position(key)
        return None if at is None else (self._shards[self._shard_of[at]], int(self._row_of[at]))

    def has_values(self, key: str) -> bool:
        at = self._position(key)
        return at is not None and not self._errors[at]

    def _position(self, key: str) -> int | None:
        at = int(np.searchsorted(self._keys, key.encode()))
        return at if at < len(self._keys) and self._keys[at] == key.encode() else None


def _array(row: pa.Table, column: str) -> np.ndarray:
    values: Any = as_array(row[column][0])
    return values.reshape(row["shape"][0].as_py())
