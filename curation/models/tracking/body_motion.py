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
    start = np.stack([_median_by(step[:, axis], body, bodies) for axis in (0, 1)], axis=1)
    residual = np.linalg.norm(step - start[body], axis=1)
    # A turning or growing object's points differ from its median step; the first round must not throw them out.
    reach = np.maximum(tolerance, 3 * _median_by(residual, body, bodies))

    # step - start = [[x, -y, 1, 0], [y, x, 0, 1]] (grow, turn, shift x, shift y), x and y from the object's centre.
    member = (np.arange(bodies)[:, None] == body).astype(np.float64)
    centre = member @ before / np.maximum(1.0, member.sum(axis=1))[:, None]
    x, y = (before - centre[body]).T
    design = np.zeros((len(x), 2, 4))
    design[:, 0, 0], design[:, 0, 1], design[:, 0, 2] = x, -y, 1
    design[:, 1, 0], design[:, 1, 1], design[:, 1, 3] = y, x, 1
    trusted = design.swapaxes(1, 2) @ trust
    squares = (trusted @ design).reshape(-1, 16)
    products = (trusted @ (step - start[body])[..., None])[..., 0]
    # Where nothing is trusted the shift falls back on the median step, turn and growth on what went before.
    left_prior = np.diag([ridge, ridge, 1e-3, 1e-3])
    right_prior = np.zeros((bodies, 4))
    right_prior[:, 0], right_prior[:, 1] = ridge * (prior[:, 0, 0] - 1), ridge * prior[:, 1, 0]

    solution = np.zeros((bodies, 4))
    for limit in (reach, np.maximum(tolerance, reach / 2), np.full(bodies, tolerance)):
        weighted = member * np.maximum(0.0, 1 - (residual / limit[body]) ** 2) ** 2
        left = (weighted @ squares).reshape(-1, 4, 4) + left_prior
        solution = np.linalg.solve(left, (weighted @ products + right_prior)[..., None])[..., 0]
        fitted = (design @ solution[body][..., None])[..., 0] + start[body]
        residual = np.linalg.norm(fitted - step, axis=1)
    grow, turn = solution[:, 0], solution[:, 1]
    linear = np.stack([1 + grow, -turn, turn, 1 + grow], axis=1).reshape(-1, 2, 2)
    support = np.bincount(body[residual < tolerance], minlength=bodies)
    return BodyMotion(linear, centre, start + solution[:, 2:], support)


def _median_by(values: np.ndarray, body: np.ndarray, bodies: int) -> np.ndarray:
    """Median of the values of each body, float64 [bodies]; 0 for a body without any."""
    medians = np.zeros(bodies)
    if len(values):
        ordered = values[np.lexsort((values, body))]
        counts = np.bincount(body, minlength=bodies)
        first = np.cumsum(counts) - counts
        some = counts > 0
        low, high = first + (counts - 1) // 2, first + counts // 2
        medians[some] = (ordered[low[some]] + ordered[high[some]]) / 2
    return medians
