"""The generations manifest: one row for each sample that a batch was asked to generate."""

import pyarrow as pa

from curation.contract.schemas import Column, make_schema

GENERATIONS = "generations"

_TEXT = pa.string()
_INT = pa.int32()

COLUMNS = [
    Column("sample_id", _TEXT, "the sample that was generated again; unique in this manifest"),
    Column("run", _TEXT, "run folder with the samples manifest"),
    Column("video_uri", _TEXT, "mp4 of the whole canvas; null if it failed"),
    Column("region_uri", _TEXT, "mp4 of the region box's part; null if it failed"),
    Column("request_uri", _TEXT, "request that makes the same video; null if it failed before there was one"),
    Column("model", _TEXT, "model by its name"),
    Column("model_revision", _TEXT, "which weights: repository and commit, or a folder; null if it failed"),
    Column("seed", pa.int64(), "seed of this generation, from the batch's seed and the sample_id"),
    Column("width", _INT, "canvas width", "px"),
    Column("height", _INT, "canvas height", "px"),
    Column("num_frames", _INT, "frames generated", "frame"),
    Column("fps", pa.float64(), "rate of the videos: the source's over the stride", "frame/s"),
    Column("region_box", pa.list_(_INT), "the sample's first region box on the canvas", "px"),
    Column("num_inference_steps", _INT, "denoising steps"),
    Column("guidance_scale", pa.float64(), "classifier-free guidance; 1 is none"),
    Column("seconds", pa.float64(), "wall time of the generation, without loading and writing", "s"),
    Column("fingerprint", _TEXT, "changes when anything does that the videos depend on"),
    Column("error", _TEXT, "one line saying why there is no video; null if there is"),
]

SCHEMA = make_schema(GENERATIONS, COLUMNS)
