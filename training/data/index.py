"""Which samples there are to draw from, and where the row of each lies: light columns in memory, the rest on demand."""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from curation.contract.errors import UsageError
from curation.contract.ids import digest
from curation.contract.manifest import RunFolder, open_run
from curation.contract.schemas import SCHEMAS
from curation.contract.tables import as_array, records
from training.cache.keys import video_key
from training.data.config import DataConfig
from training.data.rows import read_row
from training.data.sample import Bucket, SampleRow

logger = logging.getLogger(__name__)

_LIGHT = ["sample_id", "clip_id", "video_id", "start_frame", "end_frame", "fps", "width", "height"]
_FILTERED = ["kinds", "strict", "split"]
_HEAVY = ["objects", "region_boxes", "identity_reference", "caption"]
# What a video's row is read for: FrameReader takes these.
_VIDEO = ["video_id", "uri", "bytes", "frame_pts", "key_frames", "damage", "rotation_deg"]


class SampleIndex:
    """The samples of all manifests that fit a config. Picklable; cheap to hold in every worker.

    Attributes:
        buckets: the shapes that samples can have.
        bucket_of: int32 [rows], position in `buckets`.
        manifest_of: int32 [rows], position in `config.manifests`.
        left_out: reason -> number of samples of the split that are not drawn from.
    """

    def __init__(self, config: DataConfig) -> None:
        """Read the light columns of every manifest.

        Raises:
            UsageError: a run does not exist, lacks a video's row, or no sample fits.
        """
        self._config = config
        self.buckets = [Bucket(*size, count) for size in config.sizes for count in config.frames]
        self.left_out: Counter[str] = Counter()
        parts = [self._read(position, manifest.run) for position, manifest in enumerate(config.manifests)]
        self._rows = pl.concat(parts)
        if self._rows.is_empty():
            runs = ", ".join(manifest.run for manifest in config.manifests)
            raise UsageError(f"no sample to train on in {runs}: {self._why_left_out() or 'the manifests are empty'}")
        self.bucket_of = self._rows["bucket"].to_numpy()
        self.manifest_of = self._rows["manifest"].to_numpy()
        if self.left_out:
            logger.info("samples left out: %s", self._why_left_out())

    def __len__(self) -> int:
        return self._rows.height

    def bucket(self, row: int) -> Bucket:
        return self.buckets[self.bucket_of[row]]

    def sample_id(self, row: int) -> str:
        return self._rows["sample_id"][row]

    def video_key(self, row: int) -> str:
        """Of its frames in a cache, as `SampleRow.video_key`, without reading the row."""
        light = self._rows.row(row, named=True)
        return video_key(light["video_id"], light["bytes"], light["start_frame"], light["stride"], self.bucket(row))

    def caption_and_identity(self, row: int) -> tuple[str, bytes | None]:
        """Caption and PNG of the ID reference, without tracks and video."""
        light = self._rows.row(row, named=True)
        run = self._config.manifests[light["manifest"]].run
        heavy = read_row(run, "samples", light["shard"], light["row"], ["caption", "identity_reference"])
        reference = heavy["identity_reference"][0].as_py()
        return heavy["caption"][0].as_py() or "", None if reference is None else reference["bytes"]

    def fingerprint(self) -> str:
        """Changes when a draw would give another sample; not when the runs move, or values come from a cache."""
        settings = self._config.model_dump_json(
            exclude={"manifests": {"__all__": {"run"}}, "decode": True, "cache": True}
        )
        return digest(settings, *self._rows["sample_id"])

    def read(self, row: int) -> SampleRow:
        """Everything that the manifests hold of a sample."""
        light = self._rows.row(row, named=True)
        run = self._config.manifests[light["manifest"]].run
        heavy = read_row(run, "samples", light["shard"], light["row"], _HEAVY)
        video = records(read_row(run, "videos", light["video_shard"], light["video_row"], _VIDEO))[0]
        reference = heavy["identity_reference"][0].as_py()
        return SampleRow(
            sample_id=light["sample_id"],
            caption=heavy["caption"][0].as_py() or "",
            start_frame=light["start_frame"],
            fps=light["fps"],
            size=(light["height"], light["width"]),
            objects=_tracks(heavy["objects"]),
            region_boxes=heavy["region_boxes"][0].as_py(),
            identity_png=None if reference is None else reference["bytes"],
            stride=light["stride"],
            video=video,
        )

    def _read(self, position: int, uri: str) -> pl.DataFrame:
        """The samples of one run that fit, with where their rows are, their stride and their bucket."""
        config, run = self._config, open_run(uri)
        samples = _light_rows(run, "samples", _LIGHT + _FILTERED, "")
        samples = self._keep(samples, pl.col("split") == config.split, f"not in split {config.split}")
        if config.stage == "inout":
            samples = self._keep(samples, pl.col("kinds").is_in(config.kinds), f"not {' / '.join(config.kinds)}")
            samples = self._keep(samples, pl.col("strict") | pl.lit(not config.strict), "whose event is not seen")
        else:
            # Samples of a clip and start frame differ in ID and region boxes only, which this stage does not use.
            samples = samples.unique(["clip_id", "start_frame"], keep="first", maintain_order=True)
        by_rate = (pl.col("fps") / config.target_fps).round().clip(lower_bound=1)
        samples = samples.with_columns(
            stride=by_rate.cast(pl.Int32) if config.stride is None else pl.lit(config.stride)
        )
        # 4N+1 is counted after the stride: source frames 0, stride, 2 stride, ...
        length = (pl.col("end_frame") - pl.col("start_frame") - 1) // pl.col("stride") + 1
        samples = self._keep(samples, length >= config.frames[0], f"shorter than {config.frames[0]} frames")
        bucket = _nearest_size(samples, config) * len(config.frames) + _longest(samples.select(length), config)
        samples = samples.with_columns(manifest=pl.lit(position), bucket=pl.Series(bucket, dtype=pl.Int32))

        videos = _light_rows(run, "videos", ["video_id", "bytes"], "video_")
        placed = samples.join(videos, on="video_id", how="left", maintain_order="left")
        lost = placed.filter(pl.col("video_row").is_null())
        if not lost.is_empty():
            raise UsageError(
                f"{run.uri}: sample {lost['sample_id'][0]} names a video that `videos` lacks; curate again"
            )
        return placed.drop(*_FILTERED, "clip_id", "end_frame")

    def _keep(self, samples: pl.DataFrame, fits: pl.Expr, reason: str) -> pl.DataFrame:
        kept = samples.filter(fits)
        if kept.height < samples.height:
            self.left_out[reason] += samples.height - kept.height
        return kept

    def _why_left_out(self) -> str:
        return ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())


def _nearest_size(samples: pl.DataFrame, config: DataConfig) -> np.ndarray:
    """Position in `config.sizes` of the canvas that is nearest in aspect ratio."""
    aspects = np.array([width / height for height, width in config.sizes])
    aspect = (samples["width"] / samples["height"]).to_numpy()
    return np.abs(np.log(aspect[:, None] / aspects)).argmin(axis=1)


def _longest(lengths: pl.DataFrame, config: DataConfig) -> np.ndarray:
    """Position in `config.frames` of the longest clip that fits."""
    return np.searchsorted(config.frames, lengths.to_series().to_numpy(), side="right") - 1


def _light_rows(run: RunFolder, dataset: str, columns: Sequence[str], prefix: str) -> pl.DataFrame:
    """Some columns of a manifest, in the order of its shards, with `shard` and `row` (within the shard) of each row."""
    parts = []
    for shard in run.shards(dataset) or [None]:
        if shard is None:
            data = SCHEMAS[dataset].empty_table().select(columns)
        else:
            data = run.open_shard(dataset, shard).read(columns=list(columns), use_threads=False)
        numbered = pl.DataFrame(data).with_columns(shard=pl.lit(shard, pl.String), row=pl.int_range(data.num_rows))
        parts.append(numbered)
    return pl.concat(parts).rename({"shard": f"{prefix}shard", "row": f"{prefix}row"})


def _tracks(objects: pa.ChunkedArray) -> list[dict[str, Any]]:
    """Points as arrays, without a Python object per number."""
    structs = objects.chunk(0)[0].values
    fields = zip(structs.field("points"), structs.field("is_identity"), strict=True)
    return [{"points": _points(points), "is_identity": bool(identity.as_py())} for points, identity in fields]


def _points(scalar: pa.Scalar) -> np.ndarray:
    """float32 [T, P, 2]; without points, the nested lists have lost the last axis' length."""
    points = np.asarray(as_array(scalar), np.float32)
    return points if points.size else np.empty((len(points), 0, 2), np.float32)
