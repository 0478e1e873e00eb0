"""Identity over time: whether the object stays what it is, not only on average.

No benchmark reports it. The object is cut out by its mask in every frame, and the cut-out is compared with the
reference; a mean over whole frames mostly measures the background. Values are relative to the ground truth, whose
similarity is below 1 too: light and pose change.
"""

from typing import NamedTuple

import numpy as np


class IdentityScores(NamedTuple):
    """Differences of cosine similarities, 0 for a video that is as good as the truth.

    Attributes:
        gap: mean similarity of the truth minus that of the generated video; above 0: it resembles the reference less.
        lowest_gap: the same of the least similar frames.
        fade: loss of similarity from the first third of the frames in which the object is seen to the last third,
            minus that of the truth; above 0: it turns into something else.
    """

    gap: float
    lowest_gap: float
    fade: float


def identity_over_time(similarity: np.ndarray, true_similarity: np.ndarray) -> IdentityScores | None:
    """From similarities [T] of the object's cut-outs, nan in frames in which it is not seen.

    An object that never appears in the generated video has a similarity of 0. None when it never appears in the truth.
    """
    seen, true_seen = (values[~np.isnan(values)] for values in (similarity, true_similarity))
    if not true_seen.size:
        return None
    if not seen.size:
        return IdentityScores(float(true_seen.mean()), float(true_seen.min()), -_fade(true_seen))
    return IdentityScores(
        float(true_seen.mean() - seen.mean()), float(true_seen.min() - seen.min()), _fade(seen) - _fade(true_seen)
    )


def _fade(similarity: np.ndarray) -> float:
    third = max(1, len(similarity) // 3)
    return float(similarity[:third].mean() - similarity[-third:].mean())
