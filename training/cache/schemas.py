"""The datasets of a cache, declared once. Values are float32, which holds exactly what bfloat16 models give."""

import pyarrow as pa

from curation.contract.schemas import Column, make_schema

VIDEO = "video_latents"
TEXT = "text_embeddings"
IDENTITY = "identity_latents"

_INT = pa.int32()
_TEXT = pa.string()
_VALUES = pa.list_(pa.float32())

KEY = Column("key", _TEXT, "32 hex digits over everything that the values depend on but the settings in cache.yaml")
_SHAPE = Column("shape", pa.list_(_INT), "of the values, which are listed in C order")
_MEAN = Column("mean", _VALUES, "normalised latents, (C, f, h, w): the mean of the VAE's posterior")
_SIZE = [Column("height", _INT, "canvas height", "px"), Column("width", _INT, "canvas width", "px")]

COLUMNS: dict[str, list[Column]] = {
    VIDEO: [
        KEY,
        Column("video_id", _TEXT, "source video"),
        Column("start_frame", _INT, "source frame of the first frame", "frame"),
        Column("stride", _INT, "source frames per frame", "frame"),
        Column("frames", _INT, "frames that were encoded, 4N+1", "frame"),
        *_SIZE,
        _SHAPE,
        _MEAN,
        Column("deviation", _VALUES, "the posterior's standard deviation; null where training takes the mean"),
        Column("error", _TEXT, "one line saying why the video could not be read, all values null; null if it could"),
    ],
    TEXT: [
        KEY,
        Column("caption", _TEXT, "what was encoded"),
        _SHAPE,
        Column("embedding", _VALUES, "(tokens, D), padded to the model's text length as the stock pipeline does"),
    ],
    IDENTITY: [
        KEY,
        Column("sample_id", _TEXT, "a sample with this ID reference; null for none, which is a black picture"),
        *_SIZE,
        _SHAPE,
        _MEAN,
    ],
}

SCHEMAS: dict[str, pa.Schema] = {name: make_schema(name, columns) for name, columns in COLUMNS.items()}
DATASETS = tuple(SCHEMAS)
