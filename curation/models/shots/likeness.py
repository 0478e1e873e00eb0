"""Whether two frames show the same place, whatever the light and a little motion between them."""

import cv2
import numpy as np

SAME_PLACE = 0.75
"""Correlation above which two frames show one place. Measured: at most .7 between shots; inside them .9 and more where
light changes at once, thin lines that alias in small pictures included, and .85 across slow zooms."""
_BLUR = 5  # pixels of the 48x27 picture: what a hand or a pan moves between two frames disappears in it


def likeness(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Compare two small frames, uint8 [h, w, 3].

    Returns:
        the correlation of the blurred pictures, -1..1, and the share of their mean difference that a gain and an offset
        per channel leave unexplained.
    """
    a = cv2.blur(before.astype(np.float32), (_BLUR, _BLUR)).reshape(-1, 3)
    b = cv2.blur(after.astype(np.float32), (_BLUR, _BLUR)).reshape(-1, 3)
    a_off, b_off = a - a.mean(axis=0), b - b.mean(axis=0)
    together, spread = (a_off * b_off).sum(axis=0), np.maximum((a_off**2).sum(axis=0), 1e-6)
    left = np.abs(b_off - together / spread * a_off).mean() / max(float(np.abs(b - a).mean()), 1e-6)
    correlation = together.sum() / np.sqrt(max(float(spread.sum() * (b_off**2).sum()), 1e-6))
    return float(correlation), float(left)
