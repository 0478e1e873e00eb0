"""Samples by draw, as a map-style torch dataset; a broken one is replaced, which is logged and can be counted."""

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from curation.contract.errors import UsageError, VideoError
from curation.contract.ids import generator
from training.cache.reader import LatentCache
from training.cache.schemas import VIDEO
from training.data.config import DataConfig
from training.data.index import SampleIndex
from training.data.sample import TrainingSample, build_sample
from training.data.schedule import Draw

logger = logging.getLogger(__name__)

# So many broken samples in a row are no accident: the storage is away, or the videos have moved.
_MOST_REPLACEMENTS = 8


class SampleDataset(Dataset[TrainingSample]):
    """`dataset[draw]` is the sample of a `Draw`, the same in any process.

    Attributes:
        index: what is drawn from.
    """

    def __init__(self, config: DataConfig, index: SampleIndex | None = None) -> None:
        self.config = config
        self.index = index or SampleIndex(config)
        self._cache = LatentCache(config.cache) if config.cache else None
        if self._cache is not None:
            self._check_complete(self._cache)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, draw: Draw) -> TrainingSample:
        """Build a sample; if its video is broken, another one of the same shape, chosen by the draw alone.

        Raises:
            VideoError: several in a row are broken.
        """
        bucket = self.index.bucket(draw.row)
        errors: list[str] = []
        for row in [draw.row, *self._substitutes(draw)]:
            # Keyed by the row as well, so that a substitute draws as if it had been meant.
            rng = generator(self.config.seed, "sample", str(draw.epoch), str(draw.index), str(len(errors)))
            try:
                sample = build_sample(self.index.read(row), bucket, self.config, rng, self._cache)
            except VideoError as error:
                errors.append(str(error))
                logger.warning("sample %s is broken and replaced by another: %s", self.index.sample_id(row), error)
                continue
            return dataclasses.replace(sample, replaces=self.index.sample_id(draw.row)) if errors else sample
        raise VideoError(f"{len(errors)} samples in a row cannot be read, the last one: {errors[-1]}")

    def _check_complete(self, cache: LatentCache) -> None:
        """
        Raises:
            UsageError: the cache lacks videos. That it lacks a caption or an ID shows when the sample is drawn.
        """
        missing = [row for row in range(len(self)) if not cache.has(VIDEO, self.index.video_key(row))]
        if missing:
            raise UsageError(
                f"{cache.uri}: lacks {len(missing)} of {len(self)} samples, such as "
                f"{self.index.sample_id(missing[0])}; run `python -m training precompute` again with the same settings"
            )

    def _substitutes(self, draw: Draw) -> Sequence[int]:
        """Rows of the same shape in random order, at most _MOST_REPLACEMENTS."""
        same = np.flatnonzero(self.index.bucket_of == self.index.bucket_of[draw.row])
        same = same[same != draw.row]
        rng = generator(self.config.seed, "substitute", str(draw.epoch), str(draw.index))
        count = min(len(same), _MOST_REPLACEMENTS)
        return [int(row) for row in rng.choice(same, count, replace=False)]
