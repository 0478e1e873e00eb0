"""What the rules look at: one row per item, one number or label per rule, derived from the manifests.

Everything is lazy polars over the few columns that are needed, so ten million rows cost seconds. Numbers come as
float64 with 7 significant digits: the manifests' float32 .1 is then .1 again, and inclusive bounds mean what they say.
"""

from collections.abc import Mapping

import polars as pl
import polars.selectors as cs

from curation.selection.rules import Level

Manifests = Mapping[str, pl.LazyFrame]
"""Manifest name to its rows; only the columns that are used are read."""


def measures(level: Level, manifests: Manifests) -> pl.LazyFrame:
    """One row per item of a level.

    Returns:
        item_id, parent_id (null for videos) and the columns that the rules of the level name. Null: not measured.
    """
    frame = {"video": _videos, "clip": _clips, "object": _objects}[level](manifests)
    return frame.with_columns(cs.numeric().cast(pl.Float64).round_sig_figs(7))


def _videos(manifests: Manifests) -> pl.LazyFrame:
    # To a tenth: rates measured from rounded time stamps differ from the true one in the second decimal.
    fps = (pl.col("fps_num") / pl.col("fps_den")).round(1)
    return manifests["videos"].select(
        pl.col("video_id").alias("item_id"),
        pl.lit(None, pl.String).alias("parent_id"),
        "error",
        "damage",
        "width",
        "height",
        "frames",
        fps.alias("fps"),
        (pl.col("width") * pl.col("pixel_aspect").fill_null(1) / pl.col("height")).alias("aspect"),
        pl.col("duration_s").round(2).alias("duration"),
    )


def _clips(manifests: Manifests) -> pl.LazyFrame:
    rate = manifests["videos"].select("video_id", fps=pl.col("fps_num") / pl.col("fps_den"))
    length = pl.col("end_frame") - pl.col("start_frame")
    frame = manifests["clips"].join(rate, on="video_id", how="left", validate="m:1")
    return frame.select(
        pl.col("clip_id").alias("item_id"),
        pl.col("video_id").alias("parent_id"),
        length.alias("length"),
        # To a hundredth, for the same reason: 120 frames at a measured 30.01 per second are the 4 s that they claim.
        (length / pl.col("fps")).round(2).alias("duration"),
        pl.col("start_frames").list.len().alias("start_frames"),
        "text_area",
        "image_quality",
        "aesthetic",
        "complexity",
        "clarity",
        "classical_quality",
        "colourfulness",
        "edge_complexity",
        "camera_rotation_deg",
        "camera_translation",
        "camera_focal",
        "camera_label",
    )


def _objects(manifests: Manifests) -> pl.LazyFrame:
    size = manifests["videos"].select("video_id", frame_area=pl.col("width").cast(pl.Float64) * pl.col("height"))
    # cycle_error_px holds one number per tracked point: far cheaper to count than the points themselves.
    tracks = manifests["tracks"].select("object_id", "speed", points=pl.col("cycle_error_px").list.len())
    frame = manifests["objects"].join(size, on="video_id", how="left", validate="m:1")
    frame = frame.join(tracks, on="object_id", how="left", validate="m:1")
    x0, y0, x1, y1 = (pl.col("mask_box").list.get(i, null_on_oob=True).cast(pl.Float64) for i in range(4))
    return frame.select(
        pl.col("object_id").alias("item_id"),
        pl.col("clip_id").alias("parent_id"),
        "label",
        "mask_area",
        ((x1 - x0) * (y1 - y0) / pl.col("frame_area")).alias("mask_box_area"),
        "cycle_lost",
        "mask_lost",
        pl.col("points").fill_null(0).alias("points"),
        "speed",
    )
