"""How an object goes from one frame to the next, turning and growing included."""

import cv2
import numpy as np

from curation.contract.mask_tube import MaskTube
from curation.models.objects.motion_model import MotionModel, mask_motion

_LEAST_PX = 12  # of a mask that says how it moves
_POINTS = 50  # about as many are followed
_MARGIN_PX = 24  # around both masks, which the points may need to be followed
_LEAST_FOLLOWED = 8  # points
_LEAST_AGREEING = 0.3  # share of the points that move as one
_WINDOW = (11, 11)
_TERMINATE = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 8, 0.03)


def object_motion(model: MotionModel, masks: MaskTube, frame: int) -> np.ndarray | None:
    """Similarity from px of `frame` to px of the next one, float64 [2, 3], by points followed inside the mask.

    They start from the shift of the mask's centre or from the flow, whichever fits better: a mask that lacks a part
    misleads the one, small things that go fast the other. Where the points do not agree, that shift is all that is
    known; None where the object is cut by the frame's border, or has no mask in one of the two frames.
    """
    box, next_box = masks.boxes[frame], masks.boxes[frame + 1]
    if box is None or next_box is None:
        return None
    rows, columns = np.nonzero(masks.crop(frame))
    if len(rows) < _LEAST_PX:
        return None
    step = max(1, int(np.sqrt(len(rows) / _POINTS)))
    chosen = (rows % step == 0) & (columns % step == 0)
    points = np.stack([columns[chosen] + box[0], rows[chosen] + box[1]], axis=1).astype(np.float32)
    whole = not (_is_cut(box, masks.shape) or _is_cut(next_box, masks.shape))
    part = (slice(box[1], box[3]), slice(box[0], box[2]))
    shift = mask_motion(model.flow(frame, frame + 1), masks.crop(frame), part, *masks.shape[1:])
    if whole:
        shifts = (shift, _centre(masks, frame + 1) - _centre(masks, frame))
        shift = min(shifts, key=lambda shift: _misfit(model.gray[frame], model.gray[frame + 1], points, shift))
    corner = np.maximum(np.minimum(box[:2], next_box[:2]) - np.array(_MARGIN_PX), 0)
    x, y = np.maximum(box[2:], next_box[2:]) + _MARGIN_PX
    before, after = (
        np.ascontiguousarray(model.gray[index, corner[1] : y, corner[0] : x]) for index in (frame, frame + 1)
    )
    here = points - corner.astype(np.float32)
    there, followed, _ = cv2.calcOpticalFlowPyrLK(
        before,
        after,
        here,
        here + shift.astype(np.float32),
        winSize=_WINDOW,
        maxLevel=1,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        criteria=_TERMINATE,
    )
    kept = followed[:, 0] > 0
    if np.count_nonzero(kept) >= _LEAST_FOLLOWED:
        motion, agree = cv2.estimateAffinePartial2D(here[kept], there[kept], ransacReprojThreshold=1.0, maxIters=100)
        if motion is not None and np.count_nonzero(agree) >= _LEAST_AGREEING * len(points):
            motion[:, 2] += corner - motion[:, :2] @ corner
            return motion
    return np.array([[1, 0, shift[0]], [0, 1, shift[1]]]) if whole else None


def _is_cut(box: list[int], shape: tuple[int, ...]) -> bool:
    """Whether a box lies at the border of frames [T, h, w]."""
    return box[0] <= 1 or box[1] <= 1 or box[2] >= shape[2] - 1 or box[3] >= shape[1] - 1


def _misfit(before: np.ndarray, after: np.ndarray, points: np.ndarray, shift: np.ndarray) -> float:
    """Median difference, grey levels, of points [P, 2] of uint8 [h, w] `before` to where they would be in `after`."""
    here = np.rint(points).astype(int)
    there = np.clip(np.rint(points + shift).astype(int), 0, np.array(after.shape[::-1]) - 1)
    return float(np.median(cv2.absdiff(before[here[:, 1], here[:, 0]], after[there[:, 1], there[:, 0]])))


def _centre(masks: MaskTube, frame: int) -> np.ndarray:
    rows, columns = np.nonzero(masks.crop(frame))
    box = masks.boxes[frame] or [0, 0]
    return np.array([columns.mean() + box[0], rows.mean() + box[1]])
