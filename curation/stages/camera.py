"""Camera motion of every clip: means per step, as the recipe's section 5 scores them, and a label."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from curation.contract.spans import Span
from curation.contract.tables import Tables, records, table
from curation.models.camera import CameraBackendConfig, build_camera
from curation.models.camera.protocol import CameraEstimator, CameraStep
from curation.stages.stage import FrameObserver, FrameStage, Resources
from curation.video.media import DecodedFrame, VideoHeader, fit_within


class CameraConfig(CameraBackendConfig):
    """Displacements are means over the frame's area, as shares of its diagonal."""

    seconds: float | None = Field(
        default=None, gt=0, description="look at the first seconds of a clip only (recipe: 6); null looks at all of it"
    )
    static_shift: float = Field(
        default=0.004,
        ge=0,
        description="static: the picture never gets further than this from where it began; 5 px at 1280x720, "
        "less than a hand does and more than wind does to a tripod",
    )
    drift_shift: float = Field(
        default=0.10,
        ge=0,
        description="moving: the picture gets further than this, however it went; a hand that tries to hold still "
        "stays below (up to 0.09 seen on real shots)",
    )
    pan_shift: float = Field(
        default=0.04,
        ge=0,
        description="moving as well: it gets this far by going straight, so that the motion was meant",
    )
    straight: float = Field(
        default=0.75,
        ge=0,
        le=1,
        description="going straight: displacement / length of the way, both at the furthest point",
    )


class CameraMotion(FrameStage):
    """Measures camera motion at about ten frames a second and writes it to every clip of the video.

    Columns stay null for clips that hold no two sampled frames; `camera_label` also where fewer than half of the
    steps could be estimated (darkness, no texture): an unknown camera is not called static.
    """

    name: ClassVar[str] = "camera"
    reads: ClassVar[tuple[str, ...]] = ("clips.start_frame", "clips.end_frame")
    writes: ClassVar[tuple[str, ...]] = (
        "clips.camera_rotation_deg",
        "clips.camera_translation",
        "clips.camera_focal",
        "clips.camera_label",
        "clips.camera_steps",
        "clips.poses",
        "clips.camera_backend",
    )
    resources = Resources()

    def __init__(self, config: CameraConfig | None = None, estimator: CameraEstimator | None = None) -> None:
        self.config = config or CameraConfig()
        self.estimator = estimator or build_camera(self.config)

    def start(self, header: VideoHeader) -> FrameObserver:
        return _Watch(header, self.config, self.estimator)


class _Watch(FrameObserver):
    def __init__(self, header: VideoHeader, config: CameraConfig, estimator: CameraEstimator) -> None:
        self.config = config
        self.estimator = estimator
        self.camera = estimator.start()
        self.fps = float(header.fps)
        self.next_seconds = -np.inf

    def observe(self, frame: DecodedFrame) -> None:
        if frame.seconds < self.next_seconds:
            return
        # A thousandth of tolerance: at exactly ten frames a second rounding must not skip every other frame.
        self.next_seconds = frame.seconds + self.estimator.sample_seconds - 1e-3
        size = fit_within(frame.width, frame.height, self.estimator.longest_side)
        self.camera.add(frame.index, frame.seconds, frame.rgb(*size) if self.estimator.colour else frame.luma(*size))

    def finish(self, tables: Tables) -> Tables:
        clips = records(tables["clips"])
        spans = [self._looked_at(clip) for clip in clips]
        steps = self.camera.finish(spans)
        for clip, span in zip(clips, spans, strict=True):
            inside = [step for step in steps if step.frame >= span.start and step.next_frame < span.end]
            clip |= summarise(inside, self.config)
            clip["camera_backend"] = self.estimator.name
        return {"clips": table("clips", clips)}

    def _looked_at(self, clip: dict[str, Any]) -> Span:
        span = Span(clip["start_frame"], clip["end_frame"])
        if self.config.seconds is None:
            return span
        return span.intersect(Span(span.start, span.start + round(self.config.seconds * self.fps)))


def summarise(steps: Sequence[CameraStep], config: CameraConfig) -> dict[str, Any]:
    """The clip columns that follow from the steps inside a clip: means over the known steps, and the label."""
    known = [step for step in steps if step.inliers > 0]
    columns: dict[str, Any] = {"camera_steps": [_record(step) for step in steps]}
    if known:
        columns["camera_rotation_deg"] = float(np.mean([step.rotation_deg for step in known]))
        columns["camera_translation"] = float(np.mean([step.translation for step in known]))
        columns["camera_focal"] = float(np.mean([_focal_change(step) for step in known]))
        columns["poses"] = _poses(known)
    # Labels are read off the picture's own motion, which backends that give poses do not say.
    if known and 2 * len(known) >= len(steps) and any(step.transform is not None for step in known):
        columns["camera_label"] = camera_label(steps, config)
    return columns


def _focal_change(step: CameraStep) -> float:
    return abs(step.zoom - 1) if step.focal_change_px is None else step.focal_change_px


def _poses(steps: Sequence[CameraStep]) -> np.ndarray | None:
    """float32 [N, 12]: camera-to-world matrices of the pictures, row by row; None without."""
    pairs = [step.poses for step in steps if step.poses is not None]
    if not pairs:
        return None
    return np.stack([pairs[0][0], *(pair[1] for pair in pairs)]).reshape(-1, 12).astype(np.float32)


def camera_label(steps: Sequence[CameraStep], config: CameraConfig) -> str:
    """static / handheld / moving, from how far the picture gets from where it began and how straight it goes.

    Steps that could not be estimated count as rest.
    """
    across, down = np.meshgrid([-0.43, 0.0, 0.43], [-0.25, 0.0, 0.25])
    begin = np.stack([across.ravel(), down.ravel()], axis=1)
    points = begin
    furthest, way, way_to_furthest = 0.0, 0.0, 0.0
    for step in steps:
        if step.transform is None:
            continue
        moved = points @ step.transform[:, :2].T + step.transform[:, 2]
        way += float(np.linalg.norm(moved - points, axis=1).mean())
        points = moved
        shift = float(np.linalg.norm(points - begin, axis=1).mean())
        if shift > furthest:
            furthest, way_to_furthest = shift, way
    if furthest <= config.static_shift:
        return "static"
    straight = furthest > config.straight * way_to_furthest
    if furthest > config.drift_shift or (furthest > config.pan_shift and straight):
        return "moving"
    return "handheld"


def _record(step: CameraStep) -> dict[str, float]:
    return {
        "frame": step.frame,
        "next_frame": step.next_frame,
        "rotation_deg": step.rotation_deg,
        "translation": step.translation,
        "zoom": step.zoom,
        "inliers": step.inliers,
    }
