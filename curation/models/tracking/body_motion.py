"""How objects move as bodies between two frames: one robust similarity each, all objects at once."""

from dataclasses import dataclass

import numpy as np

_RIDGE = 60.0
"""Squared px added to the spread of an object's points: a handful of close points says little about turn and scale."""


@dataclass(frozen=True)
class BodyMotion:
    """Similarities of G objects.

    Attributes:
        linear: float64 [G, 2, 2].
        centre_before, centre_after: float64 [G, 2], px; x' = linear @ (x - centre_before) + centre_after.
        support: int64 [G], points that agree with it; the motion is the identity where there is none.
    """

    linear: np.ndarray
    centre_before: np.ndarray
    centre_after: np.ndarray
    support: np.ndarray

    def apply(self, points: np.ndarray, body: np.ndarray) -> np.ndarray:
        """Points [N, 2] of objects `body` [N] moved along, float64 [N, 2]."""
        local = points - self.centre_before[body]
        return np.einsum("nij,nj->ni", self.linear[body], local) + self.centre_after[body]


def body_motion(before: np.ndarray, after: np.ndarray, body: np.ndarray, bodies: int, tolerance: float) -> BodyMotion:
    """Fit to points [N, 2] that went `before` -> `after`, of objects `body` int [N] in 0..bodies-1.

    Iteratively reweighted least squares with Tukey's weights, begun at each object's median step.

    Args:
        tolerance: px by which a point may disagree before it counts for nothing.
    """
    before, after = before.astype(np.float64), after.astype(np.float64)
    step = after - before
    start = np.zeros((bodies, 2))
    for index in np.unique(body):
        start[index] = np.median(step[body == index], axis=0)
    residual = np.linalg.norm(step - start[body], axis=1)
    # A turning or growing object's points differ from its median step; the first round must not throw them out.
    reach = np.maximum(tolerance, 3 * _median_by(residual, body, bodies))
    motion = BodyMotion(np.tile(np.eye(2), (bodies, 1, 1)), np.zeros((bodies, 2)), start, np.zeros(bodies, np.int64))
    for limit in (reach, np.maximum(tolerance, reach / 2), np.full(bodies, tolerance)):
        weights = np.maximum(0.0, 1 - (residual / limit[body]) ** 2) ** 2
        motion = _weighted_fit(before, after, weights, body, bodies)
        residual = np.linalg.norm(motion.apply(before, body) - after, axis=1)
    return motion


def _median_by(values: np.ndarray, body: np.ndarray, bodies: int) -> np.ndarray:
    medians = np.zeros(bodies)
    for index in np.unique(body):
        medians[index] = np.median(values[body == index])
    return medians


def _weighted_fit(
    before: np.ndarray, after: np.ndarray, weights: np.ndarray, body: np.ndarray, bodies: int
) -> BodyMotion:
    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(body, weights * values, minlength=bodies)

    mass = total(np.ones_like(weights))
    safe = np.maximum(mass, 1e-12)[:, None]
    centre_before = np.stack([total(before[:, 0]), total(before[:, 1])], axis=1) / safe
    centre_after = np.stack([total(after[:, 0]), total(after[:, 1])], axis=1) / safe
    p, q = before - centre_before[body], after - centre_after[body]
    spread = total((p**2).sum(axis=1)) + _RIDGE
    cosine = (total((p * q).sum(axis=1)) + _RIDGE) / spread
    sine = total(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]) / spread
    linear = np.stack([np.stack([cosine, -sine], axis=1), np.stack([sine, cosine], axis=1)], axis=1)
    support = np.bincount(body[weights > 0.1], minlength=bodies)
    return BodyMotion(linear, centre_before, centre_after, support)
