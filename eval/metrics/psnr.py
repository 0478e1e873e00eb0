"""PSNR: peak signal-to-noise ratio."""

import numpy as np


def psnr(frames: np.ndarray, true_frames: np.ndarray) -> float:
    """dB: 10 log10(255^2 / mean squared error) over all frames, channels and px; infinite where they are equal.

    Source: ITU-T J.340 (2010). The error is averaged before the logarithm, since a mean of frames' PSNR is infinite as
    soon as one frame is equal.

    Args:
        frames, true_frames: uint8 [T, h, w, 3].
    """
    difference = frames.astype(np.float64) - true_frames.astype(np.float64)
    error = float((difference**2).mean())
    return float("inf") if error == 0 else float(10 * np.log10(255.0**2 / error))
