"""VSeg MAE: whether as much of the object is inside the region box as in the ground truth.

Source: Frame In-N-Out (arXiv 2505.21491). A mask tracker (there SAM 2.1 large, prompted with the object's points of
the first frame) follows the object through both canvases. The paper describes a per-pixel difference, the released
code computes a difference of areas, under which a mask of the same size anywhere else is perfect. Both are here, and
the published numbers are of the second.
"""

import numpy as np


def vseg_mae_pixels(masks: np.ndarray, true_masks: np.ndarray) -> np.ndarray:
    """float64 [T], share of the region: the paper's form. Pixels of the region in which two masks differ.

    Args:
        masks, true_masks: bool [T, h, w], inside the region box at 256 x 384 (`region_masks`).
    """
    return np.not_equal(masks, true_masks).mean(axis=(1, 2))


def vseg_mae_count(masks: np.ndarray, true_masks: np.ndarray) -> np.ndarray:
    """float64 [T], share of the region: the release's form. Difference of the two masks' pixel counts.

    Args:
        masks, true_masks: see `vseg_mae_pixels`.
    """
    area = masks.shape[1] * masks.shape[2]
    counts, true_counts = (np.count_nonzero(part, axis=(1, 2)) for part in (masks, true_masks))
    return np.abs(counts - true_counts) / area
