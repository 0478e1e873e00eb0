"""Fréchet distance between Gaussians fitted to two sets of features: FID of frames, FVD of videos.

Sources: Heusel et al. 2017 (FID: Inception-v3 pool features of frames), Unterthiner et al. 2018 (FVD: I3D features of
videos), Ge et al. 2024 (FVD with VideoMAE features, which look at motion more). The distance itself is Dowson and
Landau 1982: |m1 - m2|^2 + trace(S1 + S2 - 2 (S1 S2)^(1/2)).
"""

import numpy as np


def frechet_distance(features: np.ndarray, true_features: np.ndarray) -> float:
    """The distance between Gaussians fitted to the rows of [N, D] and [M, D], N and M at least 2.

    With S1 = A^T A and S2 = B^T B, the trace of (S1 S2)^(1/2) is the sum of the singular values of A B^T. So there
    is no square root of a matrix, which fails on the rank-deficient covariances of few videos.

    Raises:
        ValueError: a set has fewer than two rows.
    """
    if min(len(features), len(true_features)) < 2:
        raise ValueError("a covariance needs at least two rows")
    first, second = _Gaussian(features), _Gaussian(true_features)
    shared = np.linalg.svd(first.root @ second.root.T, compute_uv=False).sum()
    distance = ((first.mean - second.mean) ** 2).sum() + (first.root**2).sum() + (second.root**2).sum() - 2 * shared
    return max(0.0, float(distance))


class _Gaussian:
    """Attributes: mean [D]; root [R, D], R <= min(N, D), whose root^T root is the unbiased covariance."""

    def __init__(self, features: np.ndarray) -> None:
        rows = np.asarray(features, np.float64)
        self.mean = rows.mean(axis=0)
        centred = (rows - self.mean) / np.sqrt(len(rows) - 1)
        self.root: np.ndarray = (
            centred if len(centred) <= centred.shape[1] else np.asarray(np.linalg.qr(centred, mode="r"))
        )
