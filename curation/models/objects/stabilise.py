"""Camera path of a clip: where every frame lies relative to the others, from tracked features.

Frames are registered directly to a key frame (not chained from neighbour to neighbour), so a static or handheld clip
does not drift; a new key frame begins when too little of the old one is left in view.
"""

from dataclasses import dataclass

import cv2
import numpy as np

REGISTRATION_SIDE = 320  # longer side of the pictures that features are tracked in, px
_FEATURES = 288
_GRID = (8, 6)  # cells that features are spread over and that a camera motion is voted by
_INLIER_PX = 1.0  # at registration size
_NEW_KEY_SHARE = 0.45  # of the key frame's features still followed
_STILL_PX = 0.35  # largest corner motion, at registration size, of a camera that counts as not moving at all
_SLIGHT_PX = 3.0  # largest corner motion, at registration size, that may well come from noise
_UNEVEN = 0.03  # change of mean brightness from which on frames are evened out
_TERMINATE = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.05)


@dataclass(frozen=True)
class CameraPath:
    """Attributes:
    to_scene: float64 [T, 3, 3]; frame coordinates (working px) to scene coordinates (those of the first key frame).
    reliable: bool [T]; the frame could be registered. Where it could not, the last good motion is carried on.
    still: the camera does not move at all; `to_scene` is then exactly the identity.
    """

    to_scene: np.ndarray
    reliable: np.ndarray
    still: bool

    def between(self, source: int, target: int) -> np.ndarray:
        """float64 [3, 3]: coordinates in frame `source` to coordinates in frame `target`."""
        return np.linalg.solve(self.to_scene[target], self.to_scene[source])

    def way(self, point: np.ndarray, source: int, target: int) -> np.ndarray:
        """float64 [2]: how far the ground at `point` [2] of frame `source` goes until frame `target`, px."""
        return cv2.perspectiveTransform(point[None, None], self.between(source, target))[0, 0] - point


def camera_path(gray: np.ndarray, allow_still: bool = True) -> CameraPath:
    """Register every frame of a uint8 [T, h, w] clip.

    Args:
        allow_still: take a camera that hardly moves, or moves in few frames, for one that stands still. Footage is
            like that; generated videos jump.
    """
    factor = min(1.0, REGISTRATION_SIDE / max(gray.shape[1:]))
    size = (round(gray.shape[2] * factor), round(gray.shape[1] * factor))
    small = _even([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in gray])
    to_scene, reliable = _register(small)
    if allow_still and _never_moves(small, to_scene):
        return CameraPath(np.tile(np.eye(3), (len(gray), 1, 1)), reliable, still=True)
    # Pixel centres are integers, so resizing moves the origin by half a pixel.
    grow = np.array([[1 / factor, 0, 0.5 / factor - 0.5], [0, 1 / factor, 0.5 / factor - 0.5], [0, 0, 1]])
    return CameraPath(grow @ to_scene @ np.linalg.inv(grow), reliable, still=False)


def _even(frames: list[np.ndarray]) -> list[np.ndarray]:
    """Frames of about the same brightness: tracking compares levels, and takes an exposure step for motion."""
    means = np.array([max(1.0, float(frame.mean())) for frame in frames])
    gains = np.median(means) / means
    if np.abs(gains - 1).max() < _UNEVEN:
        return frames
    return [cv2.convertScaleAbs(frame, alpha=gain) for frame, gain in zip(frames, gains.tolist(), strict=True)]


def _never_moves(frames: list[np.ndarray], to_scene: np.ndarray) -> bool:
    """Frames fit each other at least as well where they are as where the features say they should be moved.

    Weak features on flat ground wander with the noise, and go with what passes over it; what strong edges say is more
    reliable. Against a motion of several pixels they have to speak clearly: where nothing fits, nothing is known.
    """
    height, width = frames[0].shape
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)[:, None]
    shifts = [float(np.abs(cv2.perspectiveTransform(corners, pose) - corners).max()) for pose in to_scene]
    if max(shifts) <= _STILL_PX:
        return True
    near, far = [], []
    for index in np.unique(np.linspace(1, len(frames) - 1, 24).astype(int)):
        # The middle frame is the one to compare with: what stands still for most of the clip is in it.
        key = len(frames) // 2
        motion = np.linalg.solve(to_scene[key], to_scene[index])
        moved = cv2.warpPerspective(frames[index], motion, (width, height), borderMode=cv2.BORDER_REPLICATE)
        reference = cv2.GaussianBlur(frames[key], (0, 0), 0.7)
        edge = cv2.morphologyEx(reference, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        strong = edge >= max(12.0, float(np.percentile(edge, 85)))
        stay = np.mean(np.minimum(cv2.absdiff(cv2.GaussianBlur(frames[index], (0, 0), 0.7), reference)[strong], 40))
        move = np.mean(np.minimum(cv2.absdiff(cv2.GaussianBlur(moved, (0, 0), 0.7), reference)[strong], 40))
        if np.abs(cv2.perspectiveTransform(corners, motion) - corners).max() <= _SLIGHT_PX:
            near.append(stay > move * 1.1 + 0.3)
        else:
            far.append(move < stay * 1.1 + 0.3)
    return all(np.mean(worse) < 0.15 for worse in (near, far) if worse)


def _register(frames: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    cv2.setRNGSeed(0)
    count = len(frames)
    to_scene = np.tile(np.eye(3), (count, 1, 1))
    reliable = np.zeros(count, bool)
    reliable[0] = True
    key = 0
    points = _features(frames[0])
    to_frame = np.eye(3)  # key frame -> latest frame
    step = np.eye(3)
    for index in range(1, count):
        motion, agree = _follow(frames[key], frames[index], points, step @ to_frame)
        if key != index - 1 and (motion is None or agree.sum() < _NEW_KEY_SHARE * len(points)):
            # Waves and foliage keep their looks for a moment only: over a longer time one object can outvote them.
            recent = _features(frames[index - 1])
            near, agree_near = _follow(frames[index - 1], frames[index], recent, step)
            if motion is None or (near is not None and _share(agree_near) > _share(agree)):
                key, points, to_frame = index - 1, recent, np.eye(3)
                motion, agree = near, agree_near
        reliable[index] = motion is not None
        if motion is None:
            step = np.eye(3)
            to_scene[index] = to_scene[index - 1]
            key, points, to_frame = index, _features(frames[index]), np.eye(3)
            continue
        step = motion @ np.linalg.inv(to_frame)
        to_frame = motion
        to_scene[index] = to_scene[key] @ np.linalg.inv(to_frame)
        if agree.sum() < _NEW_KEY_SHARE * len(points):
            key, points, to_frame = index, _features(frames[index]), np.eye(3)
    return to_scene, reliable


def _share(agree: np.ndarray) -> float:
    return float(agree.mean()) if len(agree) else 0.0


def _features(frame: np.ndarray) -> np.ndarray:
    """float32 [N, 1, 2] corners, spread over the frame so that no textured object holds most of them."""
    height, width = frame.shape
    strength = cv2.cornerMinEigenVal(frame, 5)
    local_best = strength >= cv2.dilate(strength, np.ones((7, 7), np.uint8))
    strength = np.where(local_best & (strength > 1e-5), strength, 0)
    strength[:6], strength[-6:], strength[:, :6], strength[:, -6:] = 0, 0, 0, 0
    found = []
    quota = _FEATURES // (_GRID[0] * _GRID[1])
    for row in range(_GRID[1]):
        for column in range(_GRID[0]):
            y0, y1 = height * row // _GRID[1], height * (row + 1) // _GRID[1]
            x0, x1 = width * column // _GRID[0], width * (column + 1) // _GRID[0]
            cell = strength[y0:y1, x0:x1]
            order = np.argsort(-cell, axis=None, kind="stable")[:quota]
            order = order[cell.flat[order] > 0]
            ys, xs = np.unravel_index(order, cell.shape)
            found.append(np.stack([xs + x0, ys + y0], axis=1))
    return np.concatenate(found).astype(np.float32)[:, None]


def _follow(
    key: np.ndarray, frame: np.ndarray, points: np.ndarray, guess: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray]:
    """Motion key -> frame as a 3x3 matrix (None when too few features agree), and which points agree with it."""
    nobody = np.zeros(len(points), bool)
    if len(points) < 12:
        return None, nobody
    start = cv2.perspectiveTransform(points, guess).astype(np.float32)
    moved, status, _ = cv2.calcOpticalFlowPyrLK(
        key,
        frame,
        points,
        start.copy(),
        winSize=(15, 15),
        maxLevel=3,
        criteria=_TERMINATE,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    height, width = frame.shape
    inside = (moved[:, 0] >= 2).all(1) & (moved[:, 0] < (width - 2, height - 2)).all(1)
    good = (status[:, 0] == 1) & inside
    if good.sum() < 12:
        return None, nobody
    source, target = points[good], moved[good]
    cells = _cells(source[:, 0], width, height)
    possible = _vote(np.ones(len(cells), bool), cells)
    best, best_vote = None, 0.0
    for fit in (_no_motion, _similarity, _homography):  # from the stiffest to the freest: a freer one must earn it
        motion = fit(source, target)
        if motion is None:
            continue
        error = np.linalg.norm(cv2.perspectiveTransform(source, motion) - target, axis=2)[:, 0]
        vote = _vote(error < _INLIER_PX, cells)
        if vote > best_vote + 0.08 * possible:
            best, best_vote = motion, vote
        if best_vote > 0.88 * possible:
            break
    if best is None:
        return None, nobody
    error = np.linalg.norm(cv2.perspectiveTransform(source, best) - target, axis=2)[:, 0]
    inlier = error < _INLIER_PX
    if inlier.sum() < 10 or best_vote < 3:
        return None, nobody
    agree = nobody.copy()
    agree[np.flatnonzero(good)[inlier]] = True
    return best, agree


def _no_motion(source: np.ndarray, target: np.ndarray) -> np.ndarray | None:
    """The identity, when the two frames agree to a fraction of a pixel: shake below that cannot be told from noise."""
    error = np.linalg.norm(source - target, axis=2)
    return np.eye(3) if np.median(error) < _STILL_PX else None


def _similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray | None:
    motion, _ = cv2.estimateAffinePartial2D(source, target, ransacReprojThreshold=_INLIER_PX, maxIters=300)
    return None if motion is None else np.vstack([motion, [0, 0, 1]])


def _homography(source: np.ndarray, target: np.ndarray) -> np.ndarray | None:
    motion, _ = cv2.findHomography(source, target, cv2.USAC_MAGSAC, _INLIER_PX, maxIters=300)
    return None if motion is None or abs(np.linalg.det(motion)) < 1e-3 else motion


def _cells(points: np.ndarray, width: int, height: int) -> np.ndarray:
    columns = np.minimum((points[:, 0] * _GRID[0] / width).astype(int), _GRID[0] - 1)
    rows = np.minimum((points[:, 1] * _GRID[1] / height).astype(int), _GRID[1] - 1)
    return rows * _GRID[0] + columns


def _vote(inlier: np.ndarray, cells: np.ndarray) -> float:
    """Cells of the frame that agree. The background surrounds what moves, so cells at the rim count double."""
    count = _GRID[0] * _GRID[1]
    share = np.bincount(cells, inlier, count) / np.maximum(1, np.bincount(cells, minlength=count))
    rows, columns = np.divmod(np.arange(count), _GRID[0])
    rim = (rows == 0) | (rows == _GRID[1] - 1) | (columns == 0) | (columns == _GRID[0] - 1)
    return float((share * np.where(rim, 2, 1)).sum())
