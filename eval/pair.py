"""A generated video beside its ground truth, with what the sample says of the object in question."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from PIL import Image

from curation.contract.errors import VideoError
from curation.contract.manifest import RunFolder, find_record, find_shard
from curation.contract.rle import decode_mask
from curation.contract.spans import Span, scale_points
from curation.contract.tables import records
from curation.video.media import ClipFrames
from eval.alignment import align
from eval.config import ComparisonConfig
from eval.metrics.event_accuracy import Kind
from eval.metrics.region import Box
from eval.subject import kind_of, subject_of
from eval.videos import count_frames, read_generated, read_truth
from inference.from_sample import read_sample
from training.conditioning.canvas import scale_box

_LEAST_FRAMES = 3
_HULL_PX = 6  # how far a mask made of points reaches beyond them


@dataclass(frozen=True)
class VideoPair:
    """Both videos at the canvas that they are compared on.

    Attributes:
        truth, generated: uint8 [T, H, W, 3] RGB, the same moments.
        fps: compared frames per second; spacing: generated frames from one compared frame to the next.
        region_box: half-open [x0, y0, x1, y1], canvas px.
        query_frame: compared frame in which the object is prompted; its first, in the published protocol.
        points: float32 [P, 2], the object's visible points in it, canvas px.
        mask: bool [H, W], the object in it.
        identity: uint8 [h, w, 4], the RGBA ID reference; None when nothing is brought in.
        covered: share of the sample's time that lies before the end of the last compared frame.
    """

    sample_id: str
    kind: Kind
    label: str
    truth: np.ndarray
    generated: np.ndarray
    fps: float
    spacing: float
    region_box: Box
    query_frame: int
    points: np.ndarray
    mask: np.ndarray
    identity: np.ndarray | None
    covered: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the canvas, px."""
        return self.truth.shape[1], self.truth.shape[2]

    def clip(self, frames: np.ndarray) -> ClipFrames:
        """Either video as curation's backends take it; their "source px" are canvas px."""
        height, width = self.size
        return ClipFrames(
            video_id=self.sample_id,
            clip_id=self.sample_id,
            start=0,
            fps=Fraction(self.fps).limit_denominator(1001),
            frames=frames,
            seconds=np.arange(len(frames)) / self.fps,
            source_width=width,
            source_height=height,
            pictures={},
        )


def read_pair(run: RunFolder, generation: Mapping[str, Any], config: ComparisonConfig) -> VideoPair:
    """Read both videos of a generation.

    Args:
        run: with the samples manifest.
        generation: sample_id and video_uri, num_frames and fps (both null when not known), error.

    Raises:
        UsageError: the run has no such sample.
        VideoError: a video cannot be read, or too little of it is there.
    """
    if generation["error"] is not None:
        raise VideoError(f"there is no video: {generation['error']}")
    sample = read_sample(run, generation["sample_id"])
    video = find_record(run, "videos", "video_id", sample["video_id"])
    if video is None:
        raise VideoError(f"sample {sample['sample_id']}: the run has no row for its video {sample['video_id']}")
    kind = kind_of(sample)
    size = (config.height, config.width)
    span = Span(sample["start_frame"], sample["end_frame"])
    count = generation["num_frames"] or count_frames(generation["video_uri"])
    step = sample["fps"] / generation["fps"] if generation["fps"] else None
    chosen = align(span.length, count, step, config.frames_in if kind == "frame_in" else config.frames_out)
    if len(chosen.truth) < _LEAST_FRAMES:
        raise VideoError(f"{len(chosen.truth)} frames can be compared, {_LEAST_FRAMES} is the least")
    seconds = (chosen.truth[-1] - chosen.truth[0]) / sample["fps"]

    subject = subject_of(sample, _events(run, sample))
    query = _query_frame(sample["sample_id"], subject, chosen.truth)
    at = chosen.truth[query]
    source_size = (sample["height"], sample["width"])
    scale = size[1] / source_size[1], size[0] / source_size[0]
    visible = np.asarray(subject["visibility"])[at]
    points = scale_points(np.asarray(subject["points"])[at][visible], *scale)
    reference = sample["identity_reference"]
    return VideoPair(
        sample_id=sample["sample_id"],
        kind=kind,
        label=subject["label"] or "object",
        truth=read_truth(video, [span.start + frame for frame in chosen.truth], size),
        generated=read_generated(generation["video_uri"], chosen.generated, size),
        fps=(len(chosen.truth) - 1) / seconds,
        spacing=chosen.spacing,
        region_box=scale_box(sample["region_boxes"][0], source_size, size),
        query_frame=query,
        points=points,
        mask=_mask(run, subject["object_id"], span.start + at, points, size),
        identity=_rgba(reference["bytes"]) if reference and kind == "frame_in" else None,
        covered=(chosen.truth[-1] + 1) / span.length,
    )


def _events(run: RunFolder, sample: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Events of the sample's objects, and of others of its clip."""
    shard = find_shard(run, "tracks", "object_id", sample["objects"][0]["object_id"])
    return records(run.read_shard("events", shard)) if shard in run.shards("events") else []


def _query_frame(sample_id: str, subject: Mapping[str, Any], frames: Sequence[int]) -> int:
    """The first compared frame in which at least half of the object's points are seen, or any."""
    visible = np.asarray(subject["visibility"], bool)[list(frames)]
    if visible.ndim == 2 and visible.any():
        share = visible.mean(axis=1)
        wanted = 0.5 if share.max() >= 0.5 else np.nextafter(0, 1)
        return int(np.flatnonzero(share >= wanted)[0])
    raise VideoError(f"sample {sample_id}: no point of its object is seen in the compared frames")


def _mask(run: RunFolder, object_id: str, frame: int, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """bool [H, W]: the object's mask in a source frame; where the run has none, what its points enclose."""
    track = find_record(run, "tracks", "object_id", object_id)
    if track is not None and track["masks"] is not None:
        rle = track["masks"][frame - track["start_frame"]]
        if rle is not None:
            whole = decode_mask(rle).astype(np.float32)
            mask = cv2.resize(whole, (size[1], size[0]), interpolation=cv2.INTER_AREA) > 0.5
            if mask.any():
                return mask
    painted = np.zeros(size, np.uint8)
    cv2.fillConvexPoly(painted, cv2.convexHull(np.rint(points).astype(np.int32)), 1)
    return cv2.dilate(painted, np.ones((2 * _HULL_PX + 1,) * 2, np.uint8)) > 0


def _rgba(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))
