"""Camera motion from feature tracks: Lucas-Kanade on small pictures, then the similarity most of the frame agrees on.

The camera moves the whole picture and an object only a part of it, so among competing motions the one whose features
are spread widest over the frame wins, not the one with most features.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.contract.spans import Span
from curation.models.camera.protocol import CameraPass, CameraStep

_GRID = (8, 6)
"""Columns and rows of the cells over which features are spread and consensus is counted."""


_LEAST_SIDE = 160
"""Smaller pictures are enlarged to this longer side, px: a window of 15 px must not hold half the frame."""
_LK_STOP = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 12, 0.02)


class FeaturesConfig(Config):
    """Distances are px of the small picture (`longest_side`)."""

    longest_side: int = Field(default=320, description="longer side of the pictures that are compared, px")
    sample_seconds: float = Field(
        default=0.1, description="least time between compared frames, s: 10 a second is enough"
    )
    features_per_cell: int = Field(default=6, description="features kept in each of the 8x6 cells")
    least_corner: float = Field(
        default=5e-5, description="smaller eigenvalue below which a corner is noise, after flattening"
    )
    back_px: float = Field(
        default=0.7, description="forward-backward distance above which a feature counts as lost, px"
    )
    inlier_px: float = Field(default=1.0, description="residual up to which a feature agrees with a motion, px")
    rest_ratio: float = Field(
        default=1.5,
        description="the camera rests when its features' median step is at most this many times the fit's median "
        "residual: up to 1.4 on tripods, above 2.5 for slight hand shake (measured)",
    )
    least_features: int = Field(default=12, description="a step with fewer tracked features is unknown")
    least_cells: int = Field(default=6, description="a step whose consensus touches fewer of the 48 cells is unknown")
    least_inliers: float = Field(default=0.25, description="a step whose consensus holds a smaller share is unknown")


class FeatureCamera:
    """CameraEstimator on sparse features; needs no weights."""

    name: str = "features-1"
    colour = False

    def __init__(self, config: FeaturesConfig | None = None) -> None:
        self.config = config or FeaturesConfig()
        self.longest_side = self.config.longest_side
        self.sample_seconds = self.config.sample_seconds

    def start(self) -> CameraPass:
        return _FeaturePass(self.config)


class _FeaturePass:
    """Keeps the last flattened picture and nothing else of the video."""

    def __init__(self, config: FeaturesConfig) -> None:
        self.config = config
        self.steps: list[CameraStep] = []
        self.last: tuple[int, np.ndarray] | None = None

    def add(self, index: int, seconds: float, luma: np.ndarray) -> None:
        enlarge = _LEAST_SIDE / max(luma.shape)
        if enlarge > 1:
            luma = cv2.resize(luma, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_CUBIC)
        picture = flatten_light(luma)
        if self.last is not None:
            last_index, last_picture = self.last
            self.steps.append(_step(last_index, index, last_picture, picture, self.config))
        self.last = index, picture

    def finish(self, clips: Sequence[Span] = ()) -> list[CameraStep]:
        return self.steps


def flatten_light(luma: np.ndarray) -> np.ndarray:
    """Remove what exposure and flicker change: the local mean and the overall contrast. uint8 [h, w] both ways.

    Contrast below 5 levels is not raised to the norm, or sensor noise in a dark frame would turn into texture.
    """
    picture = luma.astype(np.float32)
    detail = picture - cv2.blur(picture, (31, 31))
    gain = 25.0 / max(5.0, float(detail.std()))
    return np.clip(detail * gain + 128.0, 0, 255).astype(np.uint8)


def _step(frame: int, next_frame: int, before: np.ndarray, after: np.ndarray, config: FeaturesConfig) -> CameraStep:
    """Camera motion between two flattened pictures."""
    unknown = CameraStep(frame, next_frame, rotation_deg=0.0, translation=0.0, zoom=1.0, inliers=0.0)
    height, width = before.shape
    start, end = _tracked(before, after, config)
    if len(start) < config.least_features:
        return unknown
    # Coordinates from the frame's centre in units of its diagonal: the same at every size.
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    diagonal = float(np.hypot(width, height))
    cells = _cell_of(start, width, height)
    start, end = (start - centre) / diagonal, (end - centre) / diagonal
    motion, inliers = _widest_motion(start, end, cells, config.inlier_px / diagonal)
    if motion is None or inliers.mean() < config.least_inliers:
        return unknown
    if np.unique(cells[inliers]).size < config.least_cells:
        return unknown
    if _rests(motion, start[inliers], end[inliers], 0.02 / diagonal, config.rest_ratio):
        motion = np.eye(2, 3)
    return CameraStep(
        frame,
        next_frame,
        rotation_deg=abs(float(np.degrees(np.arctan2(motion[1, 0], motion[0, 0])))),
        translation=float(np.hypot(motion[0, 2], motion[1, 2])),
        zoom=float(np.hypot(motion[0, 0], motion[1, 0])),
        inliers=float(inliers.mean()),
        transform=motion,
    )


def _rests(motion: np.ndarray, start: np.ndarray, end: np.ndarray, floor: float, ratio: float) -> bool:
    """Whether standing still explains the features about as well as the fitted motion does.

    Without this the noise of a thousand still steps adds up to a drift. `floor` is the residual of perfect features.
    """
    moved = float(np.median(np.linalg.norm(end - start, axis=1)))
    return moved <= ratio * max(floor, float(np.median(_residual(motion, start, end))))


def _tracked(before: np.ndarray, after: np.ndarray, config: FeaturesConfig) -> tuple[np.ndarray, np.ndarray]:
    """Features spread over the frame that survive the way there and back: two float64 [N, 2], px."""
    none = np.empty((0, 2)), np.empty((0, 2))
    corners = _spread_corners(before, config)
    if len(corners) == 0:
        return none
    there, misfit = _there_and_back(before, after, corners, corners, config.back_px)
    if np.isfinite(misfit).mean() < 0.7:
        # A whip pan outruns the pyramid and repeated texture misleads it: look also where the whole picture went.
        guess = corners + _whole_shift(before, after)
        further, further_misfit = _there_and_back(before, after, corners, guess, config.back_px)
        better = further_misfit < misfit
        there[better], misfit[better] = further[better], further_misfit[better]
    good = np.isfinite(misfit)
    return corners[good].astype(np.float64), there[good].astype(np.float64)


def _there_and_back(
    before: np.ndarray, after: np.ndarray, points: np.ndarray, guess: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Where points [N, 2] went, and how badly their windows fit there, levels [N]; inf for those that do not return."""
    window: dict[str, Any] = {
        "winSize": (15, 15),
        "maxLevel": 4,
        "criteria": _LK_STOP,
        "flags": cv2.OPTFLOW_USE_INITIAL_FLOW,
    }
    there, found, misfit = cv2.calcOpticalFlowPyrLK(before, after, points, guess.copy(), **window)
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(after, before, there, there - (guess - points), **window)
    returned = np.linalg.norm(back - points, axis=1) < tolerance
    return there, np.where((found[:, 0] == 1) & (found_back[:, 0] == 1) & returned, misfit[:, 0], np.inf)


def _whole_shift(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """float32 [2], px: the shift of the picture by phase correlation."""
    height, width = before.shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    shift, _ = cv2.phaseCorrelate(before.astype(np.float32), after.astype(np.float32), window)
    return np.asarray(shift, np.float32)


def _spread_corners(picture: np.ndarray, config: FeaturesConfig) -> np.ndarray:
    """The strongest corners of every grid cell, float32 [N, 2], px."""
    strength = cv2.cornerMinEigenVal(picture, blockSize=5)
    peak = (strength == cv2.dilate(strength, np.ones((7, 7), np.uint8))) & (strength > config.least_corner)
    peak[:4], peak[-4:], peak[:, :4], peak[:, -4:] = False, False, False, False
    ys, xs = np.nonzero(peak)
    order = np.argsort(-strength[ys, xs], kind="stable")
    points = np.stack([xs[order], ys[order]], axis=1).astype(np.float32)
    cells = _cell_of(points, picture.shape[1], picture.shape[0])
    by_cell = np.argsort(cells, kind="stable")
    sorted_cells = cells[by_cell]
    rank = np.arange(len(cells)) - np.searchsorted(sorted_cells, sorted_cells)
    return points[by_cell[rank < config.features_per_cell]]


def _cell_of(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """Grid cell of each point, int64 [N]."""
    columns = np.clip(points[:, 0] * _GRID[0] / width, 0, _GRID[0] - 1).astype(np.int64)
    rows = np.clip(points[:, 1] * _GRID[1] / height, 0, _GRID[1] - 1).astype(np.int64)
    return rows * _GRID[0] + columns


def _widest_motion(
    start: np.ndarray, end: np.ndarray, cells: np.ndarray, tolerance: float
) -> tuple[np.ndarray | None, np.ndarray]:
    """The similarity float64 [2, 3] whose inliers reach most of the frame, and the inliers, bool [N].

    RANSAC finds the largest consensus; it is asked again about those who disagree, since a large textured object may
    outvote the background. Cells at the frame's edge count double: objects rarely line it, the background does.
    """
    best_reach, best_motion, best_inliers = 0.0, None, np.zeros(len(start), bool)
    left = np.ones(len(start), bool)
    cv2.setRNGSeed(0)
    for _ in range(3):
        if left.sum() < 6:
            break
        motion, _ = cv2.estimateAffinePartial2D(
            start[left], end[left], method=cv2.RANSAC, ransacReprojThreshold=tolerance, maxIters=500, confidence=0.995
        )
        if motion is None:
            break
        motion = _refined(motion, start, end, tolerance)
        inliers = _residual(motion, start, end) < tolerance
        reach = _reach(cells[inliers])
        if reach > best_reach:
            best_reach, best_motion, best_inliers = reach, motion, inliers
        left &= ~inliers
    return best_motion, best_inliers


def _reach(cells: np.ndarray) -> float:
    columns, rows = np.meshgrid(np.arange(_GRID[0]), np.arange(_GRID[1]))
    border = (columns == 0) | (columns == _GRID[0] - 1) | (rows == 0) | (rows == _GRID[1] - 1)
    weights = np.where(border, 2.0, 1.0).ravel()
    return float(weights[np.unique(cells)].sum())


def _residual(motion: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    return np.linalg.norm(start @ motion[:, :2].T + motion[:, 2] - end, axis=1)


def _refined(motion: np.ndarray, start: np.ndarray, end: np.ndarray, tolerance: float) -> np.ndarray:
    """Least squares with Tukey's weights around a first guess: subpixel features average out."""
    for _ in range(3):
        residual = _residual(motion, start, end) / tolerance
        weights = np.where(residual < 1, (1 - residual**2) ** 2, 0.0)
        total = weights.sum()
        if total <= 0:
            return motion
        from_mean, to_mean = weights @ start / total, weights @ end / total
        p, q = start - from_mean, end - to_mean
        spread = weights @ (p**2).sum(axis=1)
        if spread <= 0:
            return motion
        cosine = weights @ (p * q).sum(axis=1) / spread
        sine = weights @ (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]) / spread
        linear = np.array([[cosine, -sine], [sine, cosine]])
        motion = np.column_stack([linear, to_mean - linear @ from_mean])
    return motion
