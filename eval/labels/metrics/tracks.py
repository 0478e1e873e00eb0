"""TAP-Vid's metrics of point tracks (Doersch et al. 2022, section 3.3).

Points are compared at 256 x 256. Every frame but a point's query frame is evaluated, as in TAP-Vid's "strided" mode:
curation tracks from the query frame in both directions.
"""

from dataclasses import dataclass

import numpy as np

THRESHOLDS = (1, 2, 4, 8, 16)
_SIDE = 256


@dataclass(frozen=True)
class TrackScores:
    """Attributes, all in 0..1; nan when nothing can be said:
    occlusion_accuracy: share of frames in which visible / not visible is right (OA).
    delta_avg: of the truly visible points, the share within 1, 2, 4, 8, 16 px, averaged over these thresholds.
    average_jaccard: true positives / (true positives + false positives + false negatives), averaged over the
        thresholds (AJ). A true positive is a visible point that is said to be visible within the threshold. A visible
        point said to be visible elsewhere is a false positive and a false negative, and counts as both.
    """

    occlusion_accuracy: float
    delta_avg: float
    average_jaccard: float


def track_scores(
    points: np.ndarray,
    visibility: np.ndarray,
    true_points: np.ndarray,
    true_visibility: np.ndarray,
    query_frames: np.ndarray,
    size: tuple[int, int],
) -> TrackScores:
    """Scores over all points of an object together.

    Args:
        points, true_points: float [T, P, 2] in px.
        visibility, true_visibility: bool [T, P].
        query_frames: int [P], index of each point's query frame into T.
        size: (height, width) of the frames, px.
    """
    evaluated = np.arange(len(points))[:, None] != np.asarray(query_frames)[None]
    scale = _SIDE / np.array([size[1], size[0]], np.float64)
    with np.errstate(invalid="ignore"):
        distance = np.linalg.norm((points - true_points) * scale, axis=2)
    truth, said = true_visibility & evaluated, visibility & evaluated
    deltas, jaccards = [], []
    for threshold in THRESHOLDS:
        near = distance < threshold
        deltas.append(_share(near & truth, truth))
        hits = np.count_nonzero(near & truth & said)
        positives = np.count_nonzero(truth) + np.count_nonzero(said) - hits
        jaccards.append(hits / positives if positives else float("nan"))
    right = (visibility == true_visibility) & evaluated
    return TrackScores(_share(right, evaluated), float(np.mean(deltas)), float(np.mean(jaccards)))


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    count = np.count_nonzero(whole)
    return np.count_nonzero(part) / count if count else float("nan")
