"""The manifest that says what a benchmark's samples ask for and where they come from, declared once."""

import pyarrow as pa

from curation.contract.schemas import Column, make_schema

BENCHMARK = "benchmark"

_TEXT = pa.string()
_INT = pa.int32()

COLUMNS = [
    Column("sample_id", _TEXT, "the sample, as in the manifest samples; unique"),
    Column("kind", _TEXT, "frame_in / frame_out"),
    Column("side", _TEXT, "side of the region box by which the object enters or leaves; null if not known"),
    Column("label", _TEXT, "class name of that object"),
    Column("event_frame", _INT, "frame of the benchmark's clip in which it does; null if not known", "frame"),
    Column("source", _TEXT, "run folder or published files that the sample was taken from"),
    Column("source_object_id", _TEXT, "the object in question there; its name here is the sample's with a number"),
    Column("source_uri", _TEXT, "video that the clip was cut from"),
    Column("source_frames", pa.list_(_INT), "frames of that video that the clip shows", "frame"),
    Column("source_width", _INT, "of that video, before it was stretched to the benchmark's canvas", "px"),
    Column("source_height", _INT, "of that video, before it was stretched to the benchmark's canvas", "px"),
]

SCHEMA = make_schema(BENCHMARK, COLUMNS)
