"""SSIM: structural similarity."""

import numpy as np
from skimage.metrics import structural_similarity


def ssim(frames: np.ndarray, true_frames: np.ndarray) -> np.ndarray:
    """float64 [T], -1..1: structural similarity of each frame, mean over channels; 1 where they are equal.

    Source: Wang et al. 2004, with their Gaussian window of sigma 1.5 and constants .01 and .03.

    Args:
        frames, true_frames: uint8 [T, h, w, 3], sides of at least 11 px.
    """
    return np.array(
        [
            structural_similarity(
                own.astype(np.float32),  # in double precision it takes twice as long, for the seventh digit
                truth.astype(np.float32),
                channel_axis=2,
                data_range=255,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
            for own, truth in zip(frames, true_frames, strict=True)
        ]
    )
