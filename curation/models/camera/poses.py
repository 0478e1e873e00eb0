"""Camera motion from poses: what all feed-forward pose networks share. The pictures of a clip go through one together.

Which clips there are is known only when the video has gone by, so sampled pictures wait as JPEGs, on disk if they are
many.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from tempfile import SpooledTemporaryFile
from typing import NamedTuple

import cv2
import numpy as np
from pydantic import Field

from curation.contract.spans import Span
from curation.models.camera.protocol import CameraPass, CameraStep
from curation.models.model_config import ModelConfig

_IN_MEMORY = 64 * 2**20  # bytes of JPEGs of one video that are held in memory
_PATCH = 14  # px; sides of the pictures are multiples of it


class PoseConfig(ModelConfig):
    longest_side: int = Field(default=518, ge=56, description="longer side of the pictures, px (the networks' own)")
    sample_seconds: float = Field(
        default=0.1, gt=0, description="time between the pictures: every third frame at 30 a second (recipe, step 5)"
    )
    most_pictures: int = Field(
        default=60,
        ge=2,
        description="pictures that go through the network together: 6 s of them; longer spans are thinned",
    )


class Poses(NamedTuple):
    """Attributes: camera_to_world (float64 [N, 3, 4]), focal (float64 [N], px of the pictures, sqrt(fx * fy))."""

    camera_to_world: np.ndarray
    focal: np.ndarray


class PoseCamera(ABC):
    """CameraEstimator on a pose network; a subclass brings the network."""

    name: str
    colour = True

    def __init__(self, config: PoseConfig) -> None:
        self.config = config
        self.longest_side = config.longest_side
        self.sample_seconds = config.sample_seconds

    def start(self) -> CameraPass:
        return _PosePass(self)

    @abstractmethod
    def poses(self, pictures: np.ndarray) -> Poses:
        """Poses of uint8 [N, h, w, 3] RGB pictures, N >= 2, whose sides are multiples of 14."""


class _PosePass:
    """Keeps the sampled pictures of one video."""

    def __init__(self, camera: PoseCamera) -> None:
        self._camera = camera
        self._file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - as long-lived as this pass
        self._places: list[tuple[int, int, int]] = []  # frame, offset, bytes

    def add(self, index: int, seconds: float, picture: np.ndarray) -> None:
        height, width = (max(_PATCH, round(side / _PATCH) * _PATCH) for side in picture.shape[:2])
        fitted = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        done, data = cv2.imencode(".jpg", cv2.cvtColor(fitted, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])
        assert done, "OpenCV encodes any 8-bit picture"
        self._places.append((index, self._file.tell(), data.size))
        self._file.write(data.tobytes())

    def finish(self, clips: Sequence[Span] = ()) -> list[CameraStep]:
        """See CameraPass. A clip of which fewer than two pictures were sampled has no steps."""
        steps: list[CameraStep] = []
        for clip in clips:
            places = [place for place in self._places if clip.contains(place[0])]
            places = places[:: -(-len(places) // self._camera.config.most_pictures) or 1]
            if len(places) >= 2:
                found = self._camera.poses(np.stack([self._picture(*place[1:]) for place in places]))
                steps += pose_steps([place[0] for place in places], found)
        self._file.close()
        return steps

    def _picture(self, offset: int, size: int) -> np.ndarray:
        self._file.seek(offset)
        bgr = cv2.imdecode(np.frombuffer(self._file.read(size), np.uint8), cv2.IMREAD_COLOR)
        assert bgr is not None, "it was encoded here"
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def pose_steps(frames: Sequence[int], poses: Poses) -> list[CameraStep]:
    """Steps between neighbouring pictures (recipe, step 5): geodesic angle, distance, change of focal length."""
    rotations, places = poses.camera_to_world[:, :, :3], poses.camera_to_world[:, :, 3]
    steps = []
    for i, j in pairwise(range(len(frames))):
        turn = rotations[i].T @ rotations[j]
        cosine = np.clip((np.trace(turn) - 1) / 2, -1, 1)
        steps.append(
            CameraStep(
                frame=frames[i],
                next_frame=frames[j],
                rotation_deg=float(np.degrees(np.arccos(cosine))),
                translation=float(np.linalg.norm(places[j] - places[i])),
                zoom=float(poses.focal[j] / poses.focal[i]),
                inliers=1.0,
                focal_change_px=float(abs(poses.focal[j] - poses.focal[i])),
                poses=poses.camera_to_world[[i, j]],
            )
        )
    return steps
