"""Motion smoothness: whether the object moves as evenly as in the ground truth.

No benchmark reports it of the object. VBench's "motion smoothness" (Huang et al. 2024) asks a frame interpolator about
whole frames; this asks the object's tracks about their acceleration.
"""

import numpy as np

from eval.metrics.region import RegionScale


def acceleration(points: np.ndarray, visibility: np.ndarray, scale: RegionScale) -> float | None:
    """Mean length of the second difference of tracks, scaled px per frame^2; 0 for even motion and for none.

    Args:
        points: float [T, P, 2], canvas px; visibility: bool [T, P]. Only where a point is seen in three frames in a
            row: extrapolated places are smooth by construction.

    Returns:
        None when no point is seen for three frames.
    """
    scaled = np.asarray(points, np.float64) * scale
    second = np.linalg.norm(scaled[2:] - 2 * scaled[1:-1] + scaled[:-2], axis=2)
    seen = visibility[2:] & visibility[1:-1] & visibility[:-2]
    return float(second[seen].mean()) if seen.any() else None


def motion_roughness(own: float | None, truth: float | None) -> float | None:
    """Acceleration beyond that of the truth, scaled px per frame^2; 0: as smooth, below 0: smoother (or frozen).

    None when either is not known.
    """
    return None if own is None or truth is None else own - truth
