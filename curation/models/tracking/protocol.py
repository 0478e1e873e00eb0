"""Point tracking."""

from typing import Protocol

import numpy as np

from curation.contract.mask_tube import Masks
from curation.video.media import ClipFrames


class PointTracker(Protocol):
    name: str
    """Backend and revision, for the manifests."""

    def track(
        self, clip: ClipFrames, queries: np.ndarray, masks: list[Masks | None] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Follow points through the whole clip, before and after their own frame.

        Args:
            queries: float32 [N, 3] (t, x, y): clip-relative frame, source px.
            masks: for each query the bool [T, h, w] working masks of its object, or None; a tracker may use them to
                decide visibility and to re-seed. Backends that need none ignore them.

        Returns:
            points float32 [T, N, 2] in source px, always finite: where a point is not seen its place is extrapolated,
            possibly outside the frame. visibility bool [T, N]: seen, and inside the frame.
        """
        ...
