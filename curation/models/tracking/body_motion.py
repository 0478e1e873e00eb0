"""How objects move as bodies between two frames: one robust similarity each, all objects at once."""

from dataclasses import dataclass

import numpy as np

_PRIOR_PX2 = 60.0
"""Spread of points, squared px, that says as much about turn and growth as the step before does."""
_LEAST_PX2 = 1.0
"""The same against no turn and no growth, when nothing is known of the step before."""


@dataclass(frozen=True)
class BodyMotion:
    """Similarities of G objects.

    Attributes:
        linear: float64 [G, 2, 2].
        centre, shift: float64 [G, 2], px; x' = linear @ (x - centre) + centre + shift.
        support: int64 [G], points that agree with it; the motion is the identity where there is none.
    """

    linear: np.ndarray
    centre: np.ndarray
    shift: np.ndarray
    support: np.ndarray

    def apply(self, points: np.ndarray, body: np.ndarray) -> np.ndarray:
        """Points [N, 2] of objects `body` [N] moved along, float64 [N, 2]."""
        local = points - self.centre[body]
        return np.einsum("nij,nj->ni", self.linear[body], local) + self.centre[body] + self.shift[body]


def body_motion(
    before: np.ndarray,
    after: np.ndarray,
    trust: np.ndarray,
    body: np.ndarray,
    bodies: int,
    tolerance: float,
    prior: np.ndarray | None = None,
) -> BodyMotion:
    """Fit to points [N, 2] that went `before` -> `after`, of objects `body` int [N] in 0..bodies-1.

    Iteratively reweighted least squares with Tukey's weights, begun at each object's median step.

    Args:
        trust: float64 [N, 2, 2], symmetric with eigenvalues in 0..1: how well each step is known along each direction.
        tolerance: px by which a point may disagree before it counts for nothing.
        prior: [G, 2, 2], how each object turned and grew in the step before; a few close points say little of it.
    """
    ridge = _LEAST_PX2 if prior is None else _PRIOR_PX2
    prior = np.tile(np.eye(2), (bodies, 1, 1)) if prior is None else prior
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
        motion = _weighted_fit(before, step, start, trust * weights[:, None, None], body, prior, ridge)
        residual = np.linalg.norm(motion.apply(before, body) - after, axis=1)
    support = np.bincount(body[residual < tolerance], minlength=bodies)
    return BodyMotion(motion.linear, motion.centre, motion.shift, support)


def _median_by(values: np.ndarray, body: np.ndarray, bodies: int) -> np.ndarray:
    medians = np.zeros(bodies)
    for index in np.unique(body):
        medians[index] = np.median(values[body == index])
    return medians


def _weighted_fit(
    before: np.ndarray,
    step: np.ndarray,
    start: np.ndarray,
    precision: np.ndarray,
    body: np.ndarray,
    prior: np.ndarray,
    ridge: float,
) -> BodyMotion:
    """Solve for (grow, turn, x, y) with step = [[grow, -turn], [turn, grow]] (before - centre) + (x, y)."""
    bodies = len(prior)
    mass = 1e-9 + np.trace(precision, axis1=1, axis2=2)
    total = np.bincount(body, mass, minlength=bodies)
    safe = np.maximum(total, 1e-12)
    centre = np.stack([np.bincount(body, mass * before[:, axis], minlength=bodies) / safe for axis in (0, 1)], axis=1)
    x, y = (before - centre[body]).T
    one, none = np.ones_like(x), np.zeros_like(x)
    design = np.stack([np.stack([x, -y, one, none], axis=1), np.stack([y, x, none, one], axis=1)], axis=1)
    weighted = design.swapaxes(1, 2) @ precision
    left = np.zeros((bodies, 4, 4))
    right = np.zeros((bodies, 4, 1))
    np.add.at(left, body, weighted @ design)
    # Relative to the median step, to which a body without trusted points falls back.
    np.add.at(right, body, weighted @ (step - start[body])[..., None])
    left += np.diag([ridge, ridge, 1e-3, 1e-3])
    right[:, 0, 0] += ridge * (prior[:, 0, 0] - 1)
    right[:, 1, 0] += ridge * prior[:, 1, 0]
    grow, turn, shift_x, shift_y = np.linalg.solve(left, right)[..., 0].T
    linear = np.stack([np.stack([1 + grow, -turn], axis=1), np.stack([turn, 1 + grow], axis=1)], axis=1)
    return BodyMotion(linear, centre, start + np.stack([shift_x, shift_y], axis=1), np.zeros(bodies, np.int64))
