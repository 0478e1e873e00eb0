"""The edges of an object's masks, once it is settled which masks are its own."""

from collections.abc import Iterator, Sequence

import numpy as np

from curation.contract.mask_tube import MaskTube
from curation.models.masks.appearance import appearances
from curation.models.masks.edges import half_strength
from curation.models.masks.matting import matted
from curation.models.objects.motion_model import POSSIBLE, motion_model
from curation.video.media import ClipFrames


def sharpened(clip: ClipFrames, masks: MaskTube, others: Sequence[MaskTube]) -> MaskTube:
    """See `MaskTracker.sharpened`: first by the strength of each frame's evidence, then by opacity."""
    model = motion_model(clip)
    size = (clip.height, clip.width)
    edged = MaskTube.of(
        (half_strength(mask, model.evidence[frame], POSSIBLE) for frame, mask in enumerate(masks)), size
    )

    def by_opacity() -> Iterator[np.ndarray]:
        for frame, appearance in enumerate(appearances(model, edged, others)):
            mask = edged[frame]
            if appearance is not None:
                window = appearance.window
                behind, known = model.behind(frame, window)
                found = matted(window.of(mask), appearance, model.colours(frame, window), behind)
                window.of(mask)[known] = found[known]
            yield mask

    return MaskTube.of(by_opacity(), size)
