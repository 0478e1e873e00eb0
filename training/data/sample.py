"""One training sample, from a manifest row and its video to pixels. Both feeders call `build_sample`, nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

from curation.contract.errors import CurationError
from curation.video.planes import FramePictures
from curation.video.reader import FrameReader
from training.cache.keys import identity_key, text_key, video_key
from training.cache.reader import LatentCache
from training.conditioning.canvas import mask_outside, scale_box
from training.conditioning.identity import place_identity
from training.conditioning.trajectory import draw_dots
from training.data.config import DataConfig


class Bucket(NamedTuple):
    """The shape of a sample: canvas px, and frames (4N+1) after the stride."""

    height: int
    width: int
    frames: int


@dataclass(frozen=True)
class TrainingSample:
    """What the model learns from. Pixels stay uint8 until they are on the device (canvas.to_model_range).

    Attributes:
        fps: frames/s of `video`, after the stride.
        region_box: int64 [4] (x0, y0, x1, y1), half open, canvas px; the whole canvas in stage `motion`.
        video: uint8 [F, H, W, 3] RGB; None where its latents come from a cache.
        frames: F = 4N+1.
        dot_places, dot_pixels: the trajectory video of the kept points, [F, H, W, 3], as trajectory.Dots.
        first_frame: uint8 [H, W, 3] RGB, black outside the region box.
        identity: uint8 [H, W, 3] RGB, the ID reference on black; all black without one. None where its latents come
            from a cache.
        has_identity: whether there is one.
        replaces: sample_id of the broken sample that this one stands in for; empty for none.
        video_mean, video_deviation: float32 [C, f, h, w] from a cache; no deviation where training takes the mean.
        text: float32 [L, D] from a cache.
        identity_latents: float32 [C, 1, h, w] from a cache.
    """

    sample_id: str
    caption: str
    fps: float
    region_box: np.ndarray
    frames: int
    video: np.ndarray | None
    dot_places: np.ndarray
    dot_pixels: np.ndarray
    first_frame: np.ndarray
    identity: np.ndarray | None
    has_identity: bool
    replaces: str = ""
    video_mean: np.ndarray | None = None
    video_deviation: np.ndarray | None = None
    text: np.ndarray | None = None
    identity_latents: np.ndarray | None = None

    def columns(self) -> dict[str, Any]:
        """What there is of it, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


class SampleRow(NamedTuple):
    """A row of the manifest `samples` with its row of `videos`.

    Attributes:
        objects: dicts with points float32 [T, P, 2] source px and is_identity.
        region_boxes: [x0, y0, x1, y1] each, source px.
        identity_png: RGBA PNG, None without an ID.
        stride: source frames per frame of the sample.
    """

    sample_id: str
    caption: str
    start_frame: int
    fps: float
    size: tuple[int, int]
    objects: Sequence[Mapping[str, Any]]
    region_boxes: Sequence[Sequence[int]]
    identity_png: bytes | None
    stride: int
    video: Mapping[str, Any]

    def video_key(self, bucket: Bucket) -> str:
        """Of its frames in a cache."""
        return video_key(self.video["video_id"], self.video["bytes"], self.start_frame, self.stride, bucket)


class Conditions(NamedTuple):
    """What was drawn for a sample: its region box (source px), kept points by object [T, P, 2], and the ID's PNG."""

    region_box: Sequence[int]
    points: list[np.ndarray]
    identity_png: bytes | None


def build_sample(
    row: SampleRow, bucket: Bucket, config: DataConfig, rng: np.random.Generator, cache: LatentCache | None = None
) -> TrainingSample:
    """Draw the conditions of a sample and decode the frames that it needs, no others: with a cache, only the first.

    Raises:
        VideoError: the video cannot be read (any more).
        CurationError: the manifest's ID reference is no picture.
        UsageError: the cache lacks the sample.
    """
    canvas = (bucket.height, bucket.width)
    drawn = draw_conditions(row, config, rng)
    box = scale_box(drawn.region_box, row.size, canvas)
    span = slice(0, row.stride * bucket.frames, row.stride)
    points = [track[span] for track in drawn.points] or [np.empty((bucket.frames, 0, 2), np.float32)]

    # Before the drawing: a file that is broken shows here.
    cached = {} if cache is None else _from_cache(row, bucket, drawn, config, cache)
    video = read_frames(row, bucket if cache is None else bucket._replace(frames=1), config)
    dots = draw_dots(points, row.size, canvas, config.dot_radius)
    return TrainingSample(
        sample_id=row.sample_id,
        caption=row.caption,
        fps=row.fps / row.stride,
        region_box=np.array(box, np.int64),
        frames=bucket.frames,
        video=video if cache is None else None,
        dot_places=dots.places,
        dot_pixels=dots.pixels,
        first_frame=mask_outside(video[0], box),
        identity=None if "identity_latents" in cached else placed_identity(row, drawn.identity_png, canvas, config),
        has_identity=drawn.identity_png is not None,
        **cached,
    )


def _from_cache(
    row: SampleRow, bucket: Bucket, drawn: Conditions, config: DataConfig, cache: LatentCache
) -> dict[str, Any]:
    """Fields of `TrainingSample`."""
    mean, deviation = cache.video(row.video_key(bucket))
    fields = {"video_mean": mean, "video_deviation": deviation, "text": cache.text(text_key(row.caption))}
    if config.stage == "inout" and cache.has_identity:
        fields["identity_latents"] = cache.identity(identity_key(drawn.identity_png, bucket[:2]))
    return fields


def draw_conditions(row: SampleRow, config: DataConfig, rng: np.random.Generator) -> Conditions:
    """Region box, points and ID by the recipe. Objects that keep no point are left out, so colours have no gaps.

    Stage motion: the whole frame, every point with probability keep_motion_points, no ID.
    Stage inout: one of the row's boxes. The ID's points are kept with keep_identity_points, other objects' with
    keep_other_points if they start in the box; with drop_identity, the ID goes, and its points.
    """
    if config.stage == "motion":
        height, width = row.size
        tracks = [
            item["points"][:, rng.random(item["points"].shape[1]) < config.keep_motion_points] for item in row.objects
        ]
        return Conditions((0, 0, width, height), [track for track in tracks if track.shape[1]], None)

    box = row.region_boxes[int(rng.integers(len(row.region_boxes)))]
    with_identity = row.identity_png is not None and rng.random() >= config.drop_identity
    tracks = []
    for item in row.objects:
        points, chance = item["points"], rng.random(item["points"].shape[1])
        if not item["is_identity"]:
            start = points[0]
            inside = np.all((start >= box[:2]) & (start < box[2:]), axis=1)
            tracks.append(points[:, inside & (chance < config.keep_other_points)])
        elif with_identity:
            tracks.append(points[:, chance < config.keep_identity_points])
    return Conditions(box, [track for track in tracks if track.shape[1]], row.identity_png if with_identity else None)


def read_frames(row: SampleRow, bucket: Bucket, config: DataConfig) -> np.ndarray:
    """uint8 [F, H, W, 3] RGB: every stride-th frame from the start frame, resized as it is decoded.

    Raises:
        VideoError: the video is missing, has changed since it was analysed, or took longer than the deadline.
    """
    frames = np.empty((bucket.frames, bucket.height, bucket.width, 3), np.uint8)
    indices = range(row.start_frame, row.start_frame + bucket.frames * row.stride, row.stride)
    with FrameReader(row.video, config.decode, wanted=indices) as reader:
        for index, picture in zip(indices, frames, strict=True):
            FramePictures(reader.frame(index), row.video["rotation_deg"]).render_into(picture)
    return frames


def placed_identity(row: SampleRow, png: bytes | None, canvas: tuple[int, int], config: DataConfig) -> np.ndarray:
    """uint8 [H, W, 3] RGB: the sample's ID reference (None for none) on a black canvas of (height, width).

    Raises:
        CurationError: it is no picture.
    """
    picture = None if png is None else _decode_png(png, row.sample_id)
    return place_identity(picture, canvas, config.legacy_stretch)


def _decode_png(data: bytes, sample_id: str) -> np.ndarray:
    """uint8 [h, w, 4] RGBA."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
        raise CurationError(f"sample {sample_id}: its identity_reference is no RGBA picture; curate its video again")
    return cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA)
