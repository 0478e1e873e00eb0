"""A worker of precompute: samples in, cached values out. Loads the frozen models once, when it is made."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from curation.contract.errors import VideoError
from curation.contract.manifest import RunFolder
from curation.contract.tables import Tables, table
from curation.engine.attempts import attempt
from curation.engine.bounds import Bounds
from curation.engine.committer import commit_shard
from curation.engine.shards import ItemReport, Shard, ShardReport, ShardWorker
from training.cache.keys import identity_key, text_key
from training.cache.reader import PASS, LatentCache
from training.cache.schemas import DATASETS, IDENTITY, SCHEMAS, TEXT, VIDEO
from training.config import TrainingConfig
from training.data.index import SampleIndex
from training.data.sample import Bucket, SampleRow, placed_identity, read_frames
from training.data.worker import set_up_worker
from training.encode import picture_pixels, video_pixels
from training.models.load import load_model


@dataclass(frozen=True)
class PrecomputeSpec:
    """The worker as it travels to other processes; called there, it makes the worker.

    Attributes:
        config: a `TrainingConfig` as JSON, its runs as absolute paths or URIs.
        cache: absolute path or URI.
        fingerprint: of the cache's settings.
        with_identity: ID latents too.
    """

    config: str
    cache: str
    fingerprint: str
    with_identity: bool

    def __call__(self) -> ShardWorker:
        return Precomputer(self)


class Precomputer:
    """What other shards have written, and what earlier samples of this process gave, is not computed again."""

    def __init__(self, spec: PrecomputeSpec) -> None:
        self.spec = spec
        self.config = TrainingConfig.model_validate_json(spec.config)
        self.folder = RunFolder(spec.cache)
        self.index = SampleIndex(self.config.data)
        self.cache = LatentCache(spec.cache)
        self.device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
        with tempfile.TemporaryDirectory() as scratch:
            self.model = load_model(self.config.model, Path(scratch), with_transformer=False)
        self.model.vae.to(self.device)
        self.model.text_encoder.to(self.device)
        set_up_worker()  # not before the weights have gone to the device: it would keep their place in memory, too
        self._written: set[tuple[str, str]] = set()

    def __call__(self, shard: Shard) -> ShardReport:
        results = [
            self._item(ItemReport(item.item_id, item.uri, item.bytes), int(item.payload)) for item in shard.items
        ]
        return commit_shard(self.folder, PASS, DATASETS, shard.name, self.spec.fingerprint, results, SCHEMAS)

    def _item(self, report: ItemReport, number: int) -> tuple[Tables, ItemReport]:
        """Encode one sample. A video that cannot be read costs itself; anything else (out of memory) ends the pass."""
        row, bucket = self.index.read(number), self.index.bucket(number)
        deadline = Bounds(self.config.engine.item_deadline_s) if self.config.engine.name == "ray" else Bounds()
        try:
            with attempt(self.folder, PASS, report.item_id, deadline):
                return self._encode(row, bucket), report
        except VideoError as error:
            report.state, report.detail = "failed", str(error)
            return _rows(VIDEO, [_video_columns(row, bucket) | {"error": " ".join(str(error).split())}]), report

    @torch.no_grad()
    def _encode(self, row: SampleRow, bucket: Bucket) -> Tables:
        """Computed as the training loop would."""
        data, canvas = self.config.data, bucket[:2]
        made: Tables = {}
        bf16 = self.config.loop.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            if self._lacks(VIDEO, row.video_key(bucket)):
                pixels = video_pixels(torch.from_numpy(read_frames(row, bucket, data))[None].to(self.device))
                mean, deviation = self.model.encode_posterior(pixels)
                columns = _video_columns(row, bucket) | _values("mean", mean)
                if self.model.samples_posterior:
                    columns |= _values("deviation", deviation)
                made |= _rows(VIDEO, [columns])
            key = text_key(row.caption)
            if self._lacks(TEXT, key):
                embedding = self.model.encode_text([row.caption])
                made |= _rows(TEXT, [{"key": key, "caption": row.caption} | _values("embedding", embedding)])
            if self.spec.with_identity:
                # None: the ID is left out of a share of the draws, and of samples that have none.
                made |= _rows(IDENTITY, [self._identity(row, png, canvas) for png in self._lacking(row, canvas)])
        self._written |= {(dataset, key) for dataset, rows in made.items() for key in rows["key"].to_pylist()}
        return made

    def _lacking(self, row: SampleRow, canvas: tuple[int, int]) -> list[bytes | None]:
        references = dict.fromkeys([row.identity_png, None])
        return [png for png in references if self._lacks(IDENTITY, identity_key(png, canvas))]

    def _identity(self, row: SampleRow, png: bytes | None, canvas: tuple[int, int]) -> dict[str, Any]:
        picture = torch.from_numpy(placed_identity(row, png, canvas, self.config.data))
        latents = self.model.encode_pixels(picture_pixels(picture[None].to(self.device)))
        return {
            "key": identity_key(png, canvas),
            "sample_id": None if png is None else row.sample_id,
            "height": canvas[0],
            "width": canvas[1],
        } | _values("mean", latents)

    def _lacks(self, dataset: str, key: str) -> bool:
        return (dataset, key) not in self._written and not self.cache.has_values(dataset, key)


def _video_columns(row: SampleRow, bucket: Bucket) -> dict[str, Any]:
    return {
        "key": row.video_key(bucket),
        "video_id": row.video["video_id"],
        "start_frame": row.start_frame,
        "stride": row.stride,
        "frames": bucket.frames,
        "height": bucket.height,
        "width": bucket.width,
    }


def _values(name: str, values: torch.Tensor) -> dict[str, Any]:
    """Columns of one sample's values, [1, ...]."""
    array = values[0].float().cpu().numpy()
    return {"shape": np.array(array.shape, np.int32), name: array.reshape(-1)}


def _rows(dataset: str, rows: list[Mapping[str, Any]] | list[dict[str, Any]]) -> Tables:
    return {dataset: table(dataset, rows, SCHEMAS[dataset])}
