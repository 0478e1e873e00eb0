"""Camera rotation and parallax between neighbouring pictures by pycolmap's two-view geometry: no network, BSD-3-Clause.

The focal length of unknown footage is guessed as COLMAP does (1.2 times the longer side), so angles are off by what
the guess is; distances have no scale, and what is given for them is the parallax that rotation leaves unexplained.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.contract.spans import Span
from curation.models.camera.protocol import CameraPass, CameraStep
from curation.models.packages import require_package, revision

_FOCAL = 1.2  # times the longer side
_CORNERS = {"qualityLevel": 0.01, "minDistance": 8}
_BACK_PX = 1.0  # distance to the origin after tracking back


class ColmapConfig(Config):
    longest_side: int = Field(default=640, ge=64, description="longer side of the pictures, px")
    sample_seconds: float = Field(default=0.1, gt=0, description="time between the pictures, s")
    corners: int = Field(default=500, ge=20, description="most points that are followed from picture to picture")
    least_matches: int = Field(default=20, ge=8, description="fewer followed points say nothing")
    least_inliers: float = Field(default=0.3, ge=0, le=1, description="least share of them that must agree")


class ColmapCamera:
    """CameraEstimator."""

    colour = False

    def __init__(self, config: ColmapConfig) -> None:
        require_package("colmap", "pycolmap", "pycolmap")
        self.config = config
        self.name = f"{revision('colmap', 'pycolmap')} config {config.fingerprint()}"
        self.longest_side = config.longest_side
        self.sample_seconds = config.sample_seconds

    def start(self) -> CameraPass:
        return _ColmapPass(self.config)


class _ColmapPass:
    """Keeps the last picture and nothing else of the video."""

    def __init__(self, config: ColmapConfig) -> None:
        self._config = config
        self._steps: list[CameraStep] = []
        self._last: tuple[int, np.ndarray] | None = None

    def add(self, index: int, seconds: float, picture: np.ndarray) -> None:
        if self._last is not None:
            self._steps.append(_step(self._last[0], index, self._last[1], picture, self._config))
        self._last = index, picture

    def finish(self, clips: Sequence[Span] = ()) -> list[CameraStep]:
        return self._steps


def _step(frame: int, next_frame: int, before: np.ndarray, after: np.ndarray, config: ColmapConfig) -> CameraStep:
    unknown = CameraStep(frame, next_frame, rotation_deg=0.0, translation=0.0, zoom=1.0, inliers=0.0)
    start, end = _followed(before, after, config)
    if len(start) < config.least_matches:
        return unknown
    import pycolmap

    height, width = before.shape
    focal = _FOCAL * max(width, height)
    camera = pycolmap.Camera(
        model="SIMPLE_PINHOLE", width=width, height=height, params=[focal, (width - 1) / 2, (height - 1) / 2]
    )
    options = pycolmap.TwoViewGeometryOptions()
    options.compute_relative_pose = True
    options.ransac.random_seed = 0
    pairs = np.tile(np.arange(len(start), dtype=np.uint32)[:, None], 2)
    found = pycolmap.estimate_calibrated_two_view_geometry(camera, start, camera, end, pairs, options)
    share = len(found.inlier_matches) / len(start)
    if found.cam2_from_cam1 is None or share < config.least_inliers:
        return unknown
    turn = found.cam2_from_cam1.rotation.matrix()
    agree = found.inlier_matches[:, 0]
    rays = np.column_stack([(start[agree] - [(width - 1) / 2, (height - 1) / 2]) / focal, np.ones(len(agree))]) @ turn.T
    turned = rays[:, :2] / rays[:, 2:] * focal + [(width - 1) / 2, (height - 1) / 2]
    parallax = float(np.median(np.linalg.norm(end[agree] - turned, axis=1))) / float(np.hypot(width, height))
    angle = float(np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))
    return CameraStep(
        frame, next_frame, rotation_deg=angle, translation=parallax, zoom=1.0, inliers=share, focal_change_px=0.0
    )


def _followed(before: np.ndarray, after: np.ndarray, config: ColmapConfig) -> tuple[np.ndarray, np.ndarray]:
    """Points float64 [N, 2] of the first picture that are found in the second and back."""
    corners = cv2.goodFeaturesToTrack(before, config.corners, **_CORNERS)
    if corners is None:
        return np.zeros((0, 2)), np.zeros((0, 2))
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, corners.copy())
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(after, before, there, there.copy())
    returns = np.linalg.norm((back - corners)[:, 0], axis=1) < _BACK_PX
    kept = returns & (found[:, 0] > 0) & (found_back[:, 0] > 0)
    return corners[kept, 0].astype(np.float64), there[kept, 0].astype(np.float64)
