"""Camera motion between sampled frames."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from curation.contract.spans import Span


@dataclass(frozen=True)
class CameraStep:
    """Motion of the image between two sampled frames, caused by the camera.

    Attributes:
        frame, next_frame: indices of the two source frames.
        rotation_deg: in-plane rotation (classical) or geodesic rotation angle (poses), degrees, >= 0.
        translation: image translation / frame diagonal (classical) or Euclidean translation (poses), >= 0.
        zoom: scale change factor, 1 for none.
        inliers: share of the tracked features that agree with the motion, 0..1; 0 when it could not be estimated.
        transform: float64 [2, 3], where picture points of `frame` are in `next_frame`, with the frame's centre as
            origin and its diagonal as unit; None when the step is unknown or the backend gives poses only.
        focal_change_px: change of the focal length, px, >= 0; None for backends that measure zoom only.
        poses: float64 [2, 3, 4], camera-to-world of both frames; None for backends without poses.
    """

    frame: int
    next_frame: int
    rotation_deg: float
    translation: float
    zoom: float
    inliers: float
    transform: np.ndarray | None = field(default=None, compare=False)
    focal_change_px: float | None = None
    poses: np.ndarray | None = field(default=None, compare=False)


class CameraPass(Protocol):
    """One video going by."""

    def add(self, index: int, seconds: float, picture: np.ndarray, /) -> None:
        """A sampled frame: luma, uint8 [height, width], or RGB [height, width, 3], as the estimator's `colour` says."""

    def finish(self, clips: Sequence[Span] = (), /) -> list[CameraStep]:
        """All steps; called once. Backends that look at a clip as a whole give those inside `clips` only."""
        ...


class CameraEstimator(Protocol):
    name: str
    """Backend and revision, for the manifests."""
    colour: bool
    """Whether it wants RGB pictures; else luma."""
    longest_side: int
    """Longer side of the pictures it wants, px."""
    sample_seconds: float
    """Least time between the frames that it wants, s."""

    def start(self) -> CameraPass: ...
