"""Trajectory error: how far the object strays from where it went in the ground truth."""

import numpy as np

from eval.metrics.region import RegionScale


def trajectory_error(points: np.ndarray, true_points: np.ndarray, scale: RegionScale) -> np.ndarray:
    """float64 [T], scaled px: in each frame the mean over points of the Euclidean distance between two tracks.

    Source: Frame In-N-Out (arXiv 2505.21491), "Traj Err": one tracker (there CoTracker3) follows the object's points
    of the first frame through both canvases, and distances are averaged over frames, points and videos. All frames
    count, also those in which a point is hidden or outside: there the tracker's extrapolation is compared. The
    released code cuts tracks to whole px first; we do not.

    Args:
        points, true_points: float [T, P, 2] in canvas px, of the generated video and of the ground truth.

    Raises:
        ValueError: there is no point.
    """
    if points.shape[1] == 0:
        raise ValueError("no points to compare")
    offset = (np.asarray(points, np.float64) - np.asarray(true_points, np.float64)) * scale
    return np.linalg.norm(offset, axis=2).mean(axis=1)
