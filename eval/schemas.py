"""What `python -m eval run` writes, declared once: a row for each video, and features for FID and FVD."""

import pyarrow as pa

from curation.contract.schemas import Column, make_schema

SCORES = "scores"
FEATURES = "features"
MARK = "eval.yaml"  # beside them: what was scored, and with which config

_TEXT = pa.string()
_INT = pa.int32()
_REAL = pa.float64()
_SERIES = pa.list_(_REAL)
_PX = "scaled px"

_SCORES = [
    Column("sample_id", _TEXT, "the sample; unique in this manifest"),
    Column("kind", _TEXT, "frame_in / frame_out; null if there is an error"),
    Column("label", _TEXT, "class name of the object in question"),
    Column("run", _TEXT, "run folder with the samples manifest"),
    Column("video_uri", _TEXT, "the generated canvas"),
    Column("frames", _INT, "frames compared", "frame"),
    Column("covered", _REAL, "time until the last compared frame / time of the sample", "share"),
    Column(
        "query_frame", _INT, "compared frame in which the object was prompted; 0 in the published protocol", "frame"
    ),
    Column("trajectory_error", _REAL, "mean distance of the object's tracks to those of the truth", _PX),
    Column("trajectory_error_over_time", _SERIES, "the same in each compared frame", _PX),
    Column("vseg_mae_pixels", _REAL, "paper's form: share of the region in which the masks differ", "share"),
    Column("vseg_mae_count", _REAL, "release's form: difference of mask areas / region", "share"),
    Column("similarity", _REAL, "mean similarity of the frames to the ID reference; null without one"),
    Column("true_similarity", _REAL, "the same of the ground truth"),
    Column("relative_similarity", _REAL, "abs(similarity - true_similarity) / true_similarity"),
    Column("identity_gap", _REAL, "how much less the object's cut-outs resemble the reference than those of the truth"),
    Column("identity_lowest_gap", _REAL, "the same of the least similar frames"),
    Column("identity_fade", _REAL, "similarity lost from the first third to the last, beyond that of the truth"),
    Column("identity_over_time", _SERIES, "similarity of the cut-out in each compared frame; nan where not seen"),
    Column("true_identity_over_time", _SERIES, "the same of the ground truth"),
    Column("event_accuracy", _REAL, "1: crosses by the right side, in time; 0: not; null: none seen in the truth"),
    Column("event_side_right", _REAL, "1: crosses by the right side, whenever; 0: not; null: none seen in the truth"),
    Column("event_frame_error", _REAL, "frames by which it is off; null when it does not cross", "generated frame"),
    Column("event_side", _TEXT, "side by which it crosses in the generated video; null when it does not"),
    Column("event_frame", _INT, "compared frame of it", "frame"),
    Column("true_event_side", _TEXT, "side by which it crosses in the ground truth; null when that is not seen"),
    Column("true_event_frame", _INT, "compared frame of it", "frame"),
    Column("camera_drift", _REAL, "mean distance of the canvas's corners from where the truth's camera has them", _PX),
    Column("seam_visibility", _REAL, "edge at the region box's border beyond that of the truth", "grey level"),
    Column(
        "motion_roughness", _REAL, "acceleration of the object's points beyond that of the truth", "scaled px/frame^2"
    ),
    Column("psnr", _REAL, "of the region, over all frames; infinite when equal", "dB"),
    Column("ssim", _REAL, "mean over frames of the region"),
    Column("perceptual_distance", _REAL, "LPIPS or its stand-in, mean over frames of the region"),
    Column("vlm_success", _REAL, "1: same answer as for the truth; 0: another, or one that cannot be read"),
    Column("vlm_unparsable", _REAL, "1: one of the two answers is neither yes nor no"),
    Column("vlm_answer", _TEXT, "reply about the generated video"),
    Column("vlm_true_answer", _TEXT, "reply about the ground truth"),
    Column("track_backend", _TEXT, "backend and revision of trajectory_error and motion_roughness"),
    Column("mask_backend", _TEXT, "backend and revision of vseg, identity and event columns"),
    Column("look_backend", _TEXT, "backend and revision of similarity and identity columns"),
    Column("perceptual_backend", _TEXT, "backend and revision of perceptual_distance"),
    Column("vlm_error", _TEXT, "one line saying why there is no answer; the next run asks again"),
    Column("vlm_backend", _TEXT, "backend and revision of vlm columns"),
    Column("seconds", _REAL, "wall time", "s"),
    Column("error", _TEXT, "one line saying why nothing was scored, all scores null; null if all is well"),
]

_FEATURES = [
    Column("sample_id", _TEXT, "the sample"),
    Column("kind", _TEXT, "frame_in / frame_out"),
    Column("metric", _TEXT, "fid (a row of values for each frame) / fvd (one row)"),
    Column("backend", _TEXT, "backend and revision of the features"),
    Column("shape", pa.list_(_INT), "(frames, D), or (1, D)"),
    Column("values", pa.list_(pa.float32()), "features of the generated video, in C order"),
    Column("true_values", pa.list_(pa.float32()), "features of the ground truth"),
]

SCHEMAS: dict[str, pa.Schema] = {SCORES: make_schema(SCORES, _SCORES), FEATURES: make_schema(FEATURES, _FEATURES)}
DATASETS = tuple(SCHEMAS)
