"""The manifests, declared once: every column with its type, doc and unit.

Names are a contract that training, inference, evaluation and other people's tools read. Frames are indices of decoded
frames of the source video, spans are half open, coordinates are pixels of the source video (x right, y down), boxes
are `[x0, y0, x1, y1]`, half open.
"""

from dataclasses import dataclass

import pyarrow as pa

CONTRACT_VERSION = "1"

_INT = pa.int32()
_LONG = pa.int64()
_REAL = pa.float32()
_TEXT = pa.string()
_BOX = pa.list_(_INT)
_RLE = pa.struct([pa.field("size", pa.list_(_INT)), pa.field("counts", _TEXT)])
_IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", _TEXT)])
_POINTS = pa.list_(pa.list_(pa.list_(_REAL)))
_VISIBILITY = pa.list_(pa.list_(pa.bool_()))


@dataclass(frozen=True)
class Column:
    name: str
    type: pa.DataType
    doc: str
    unit: str = ""


VIDEO_ID = Column("video_id", _TEXT, "stable id of the source file, from its path below the input root")
CLIP_ID = Column("clip_id", _TEXT, "video_id plus the clip's span")
OBJECT_ID = Column("object_id", _TEXT, "clip_id plus query frame and index")

_VIDEOS = [
    VIDEO_ID,
    Column("uri", _TEXT, "where the file was read from: absolute path or URI"),
    Column("bytes", _LONG, "file size", "byte"),
    Column("width", _INT, "width after rotation; null if unreadable", "px"),
    Column("height", _INT, "height after rotation; null if unreadable", "px"),
    Column("fps_num", _INT, "frame rate, numerator: measured mean rate of the decoded frames"),
    Column("fps_den", _INT, "frame rate, denominator"),
    Column("frames", _INT, "frames that really decode", "frame"),
    Column("duration_s", pa.float64(), "decoded duration: frames / fps", "s"),
    Column("codec", _TEXT, "codec name as FFmpeg spells it"),
    Column("variable_frame_rate", pa.bool_(), "time stamps are not evenly spaced"),
    Column("error", _TEXT, "one line saying why the file could not be read; null if it could"),
    Column("damage", _TEXT, "one line saying which part of a readable file does not decode; null if whole"),
    Column("rotation_deg", _INT, "rotation tag, applied to every frame, clockwise", "degree"),
    Column("pixel_aspect", _REAL, "sample aspect ratio; frames are never resized by it, aspect rules use it"),
    Column("pixel_format", _TEXT, "decoder's pixel format, e.g. yuv420p10le"),
    Column("header_frames", _INT, "frame count that the container claims; null if it does not say", "frame"),
    Column("time_base_num", _INT, "time base of frame_pts, numerator", "s"),
    Column("time_base_den", _INT, "time base of frame_pts, denominator"),
    Column(
        "frame_pts",
        pa.list_(_LONG),
        "presentation time of every decoded frame; null when unusable for seeking",
        "time_base",
    ),
    Column("key_frames", pa.list_(_INT), "indices of key frames (I-frames that can be sought to)", "frame"),
]

_SHOTS = [
    VIDEO_ID,
    Column("shot_index", _INT, "position in the video, from 0"),
    Column("start_frame", _INT, "first frame", "frame"),
    Column("end_frame", _INT, "one past the last frame", "frame"),
    Column("transition", _TEXT, "how the shot begins: cut / gradual; null for the first"),
    Column("transition_score", _REAL, "detector's peak score for that transition; null for the first"),
    Column("shot_backend", _TEXT, "backend and revision that found it"),
]

_STEP = pa.struct(
    [
        pa.field("frame", _INT),
        pa.field("next_frame", _INT),
        pa.field("rotation_deg", _REAL),
        pa.field("translation", _REAL),
        pa.field("zoom", _REAL),
        pa.field("inliers", _REAL),
    ]
)

_CLIPS = [
    CLIP_ID,
    VIDEO_ID,
    Column("start_frame", _INT, "first frame", "frame"),
    Column("end_frame", _INT, "one past the last frame", "frame"),
    Column("text_area", _REAL, "area of detected text / frame area, mean over score_frames", "share"),
    Column("image_quality", _REAL, "learned no-reference quality (CLIP-IQA+); null with the embedded backend"),
    Column("aesthetic", _REAL, "learned aesthetic score (NIMA); null with the embedded backend"),
    Column("complexity", _REAL, "learned complexity (ICNet); null with the embedded backend"),
    Column("clarity", _REAL, "variance of the Laplacian of the first scored frame's luma", "level^2"),
    Column("classical_quality", _REAL, "embedded stand-in for image_quality: contrast, exposure and sharpness in 0..1"),
    Column("colourfulness", _REAL, "Hasler and Suesstrunk 2003 colourfulness", "level"),
    Column("edge_complexity", _REAL, "share of pixels on Canny edges", "share"),
    Column(
        "score_frames",
        pa.list_(_INT),
        "source frames that the image scores were measured on; null: not wanted",
        "frame",
    ),
    Column("camera_rotation_deg", _REAL, "mean camera rotation per step", "degree"),
    Column(
        "camera_translation",
        _REAL,
        "mean image translation per step / frame diagonal (classical) or pose units",
        "backend",
    ),
    Column("camera_focal", _REAL, "mean |zoom - 1| per step (classical) or focal change in px (poses)", "backend"),
    Column("camera_label", _TEXT, "static / handheld / moving"),
    Column("camera_steps", pa.list_(_STEP), "camera motion between sampled frames of the clip"),
    Column(
        "poses", pa.list_(pa.list_(_REAL)), "camera-to-world 3x4 matrices, row major; null with the embedded backend"
    ),
    Column("start_frames", pa.list_(_INT), "candidate start frames of samples", "frame"),
    Column("caption", _TEXT, "caption of the part that begins at caption_start"),
    Column("caption_model", _TEXT, "backend and revision that wrote the caption"),
    Column("caption_start", _INT, "frame from which the caption holds", "frame"),
    Column("text_backend", _TEXT, "backend and revision of text_area"),
    Column("quality_backend", _TEXT, "backend and revision of the quality scores"),
    Column("camera_backend", _TEXT, "backend and revision of the camera scores"),
]

_QUERY = pa.struct([pa.field("frame", _INT), pa.field("x", _REAL), pa.field("y", _REAL)])

_START = pa.struct(
    [
        pa.field("start_frame", _INT),
        pa.field("region_boxes", pa.list_(_BOX)),
        pa.field("region_sides", pa.list_(_TEXT)),
        pa.field("leave_boxes", pa.list_(_BOX)),
    ]
)

_OBJECTS = [
    OBJECT_ID,
    CLIP_ID,
    VIDEO_ID,
    Column("query_frame", _INT, "frame in which the object was found", "frame"),
    Column("label", _TEXT, "class name; 'object' when the backend knows none"),
    Column("label_score", _REAL, "confidence of label in 0..1"),
    Column("mask_area", _REAL, "mask area in query_frame / frame area", "share"),
    Column("mask_box", _BOX, "box around the mask in query_frame", "px"),
    Column("mask", _RLE, "mask in query_frame, COCO RLE at source size"),
    Column(
        "query_points",
        pa.list_(_QUERY),
        "points to track, one per track column, each with its own frame",
        "frame, px, px",
    ),
    Column("cycle_lost", _REAL, "share of query points dropped by the cycle check", "share"),
    Column("mask_lost", _REAL, "share of tracked points dropped because they leave the mask", "share"),
    Column(
        "starts",
        pa.list_(_START),
        "per usable start frame: region boxes that exclude the object there, with the side on which it waits, "
        "and boxes that contain it and that it leaves",
        "frame, px",
    ),
    Column("identity_reference", _IMAGE, "masked crop, RGBA PNG"),
    Column("identity_frame", _INT, "frame that identity_reference was cut from", "frame"),
    Column("identity_box", _BOX, "where it was cut from", "px"),
    Column("more_references", pa.list_(_IMAGE), "further masked crops from other frames"),
    Column("object_backend", _TEXT, "backend and revision that found it"),
    Column("mask_backend", _TEXT, "backend and revision of the masks over the clip"),
]

_TRACKS = [
    OBJECT_ID,
    CLIP_ID,
    VIDEO_ID,
    Column("start_frame", _INT, "source frame of points[0]", "frame"),
    Column("end_frame", _INT, "one past the source frame of points[-1]", "frame"),
    Column("points", _POINTS, "[T][P][2] (x, y); extrapolated, possibly outside the frame, where not visible", "px"),
    Column("visibility", _VISIBILITY, "[T][P] the point is seen inside the frame"),
    Column("cycle_error_px", pa.list_(_REAL), "[P] distance to the origin after tracking back; inf when lost", "px"),
    Column("speed", _REAL, "mean over points of |last - first| / frames * 100000 / (width * height)"),
    Column(
        "masks", pa.list_(_RLE), "[T] mask in every frame, COCO RLE at source size; null where the object is not seen"
    ),
    Column("track_backend", _TEXT, "backend and revision of points and visibility"),
]

_EVENTS = [
    OBJECT_ID,
    CLIP_ID,
    VIDEO_ID,
    Column("boundary", _TEXT, "frame / region: which border is crossed"),
    Column("type", _TEXT, "enter / exit"),
    Column("side", _TEXT, "left / right / top / bottom"),
    Column("frame", _INT, "enter: first frame in which any part is visible inside; exit: last such frame", "frame"),
    Column("region_box", _BOX, "the region box crossed; null for the frame border", "px"),
]

_SAMPLE_OBJECT = pa.struct(
    [
        pa.field("object_id", _TEXT),
        pa.field("label", _TEXT),
        pa.field("points", _POINTS),
        pa.field("visibility", _VISIBILITY),
        pa.field("is_identity", pa.bool_()),
    ]
)

_SAMPLES = [
    Column("sample_id", _TEXT, "clip_id plus start frame and the object it is about"),
    CLIP_ID,
    VIDEO_ID,
    Column("uri", _TEXT, "source video"),
    Column("start_frame", _INT, "first frame of the sample", "frame"),
    Column("end_frame", _INT, "one past its last frame", "frame"),
    Column("fps", pa.float64(), "mean frame rate of the source", "frame/s"),
    Column("width", _INT, "source width after rotation", "px"),
    Column("height", _INT, "source height after rotation", "px"),
    Column("caption", _TEXT, "caption of the clip"),
    Column(
        "objects", pa.list_(_SAMPLE_OBJECT), "objects with tracks over the sample's span; T = end_frame - start_frame"
    ),
    Column(
        "region_boxes",
        pa.list_(_BOX),
        "frame_in: exclude the identity object in start_frame; frame_out: contain an object that leaves",
        "px",
    ),
    Column(
        "identity_reference",
        _IMAGE,
        "masked crop of the identity object, RGBA PNG; null when nothing is brought in (frame_out)",
    ),
    Column("more_references", pa.list_(_IMAGE), "further masked crops of the identity object"),
    Column("kinds", _TEXT, "frame_in / frame_out / both"),
    Column("strict", pa.bool_(), "the event of the kind really happens within the span for at least one region box"),
    Column("split", _TEXT, "train / val / bench, the same for all samples of a video"),
]

_VERDICTS = [
    Column("item_id", _TEXT, "video_id, clip_id, object_id or sample_id"),
    Column("level", _TEXT, "video / clip / object / sample"),
    Column("stage", _TEXT, "stage whose rule decided"),
    Column("rule", _TEXT, "rule that dropped the item; 'kept' for items that survive"),
    Column("kept", pa.bool_(), "whether the item, or something of it, reaches samples"),
    Column("value", pa.float64(), "measured value; null when the rule is not numeric"),
    Column("threshold", pa.float64(), "threshold it was held to; null when the rule is not numeric"),
    Column("reason", _TEXT, "one line for a person"),
]

MANIFEST_COLUMNS: dict[str, list[Column]] = {
    "videos": _VIDEOS,
    "shots": _SHOTS,
    "clips": _CLIPS,
    "objects": _OBJECTS,
    "tracks": _TRACKS,
    "events": _EVENTS,
    "samples": _SAMPLES,
    "verdicts": _VERDICTS,
}


def make_schema(manifest: str, columns: list[Column]) -> pa.Schema:
    """The schema of a manifest, with docs and units in its fields' metadata."""
    fields = [
        pa.field(column.name, column.type, metadata={"doc": column.doc, "unit": column.unit}) for column in columns
    ]
    return pa.schema(fields, metadata={"manifest": manifest, "contract_version": CONTRACT_VERSION})


SCHEMAS: dict[str, pa.Schema] = {name: make_schema(name, columns) for name, columns in MANIFEST_COLUMNS.items()}
