"""Near scenery passes faster than the background when the camera moves: that is parallax, not a moving object.

What stands still at another depth goes a fixed share further than the ground, along the ground's own way, whatever the
camera does. A single thing that does so may still be an object that happens to move against the camera; several with
the same share, or one that spans the frame, are scenery (plane plus parallax: Irani and Anandan 1998, section 3).
"""

import cv2
import numpy as np

from curation.contract.spans import mask_box
from curation.models.objects.motion_model import motion_model
from curation.stages.clip_masks import mask_extents
from curation.stages.own_motion import best_shift
from curation.video.media import ClipFrames

_STEP_PX = 5.0  # the ground's way between two frames that are compared
_STEP_SECONDS = 0.5
_PAIRS = 10
_LEAST_PAIRS = 3
_ALIKE = 0.12  # spread of the share within one thing, and between things at the same depth
_ASIDE = 0.2  # way across the ground's, as a share of the ground's way
_LEAST_SHARE = 0.08  # nearer than the ground by this much
_SPAN = 0.6  # of the frame's width or height that only scenery takes


def without_scenery(clip: ClipFrames, tubes: list[np.ndarray]) -> list[bool]:
    """For each tube, bool [T, h, w] masks, whether it is kept."""
    if motion_model(clip).path.still:
        return [True] * len(tubes)
    shares = [parallax_share(clip, masks) for masks in tubes]
    kept = []
    for index, (masks, share) in enumerate(zip(tubes, shares, strict=True)):
        if share is None:
            kept.append(True)
            continue
        alike = [other for i, other in enumerate(shares) if i != index and other is not None]
        company = any(abs(other - share) <= _ALIKE * (1 + share) for other in alike)
        kept.append(not (company or _spans(masks)))
    return kept


def parallax_share(clip: ClipFrames, masks: np.ndarray) -> float | None:
    """How much further than the ground the thing goes along the ground's way; None when it does not go like scenery."""
    path = motion_model(clip).path
    extents = mask_extents(masks)
    seen = np.flatnonzero(extents.areas)
    reach = max(1, round(_STEP_SECONDS * float(clip.fps)))
    pairs = []
    for a in seen.tolist():
        centre = (extents.boxes[a][:2] + extents.boxes[a][2:]) / 2
        for b in range(a + 1, min(a + reach, clip.length - 1) + 1):
            ground = cv2.perspectiveTransform(centre[None, None], path.between(a, b))[0, 0] - centre
            if np.hypot(*ground) >= _STEP_PX:
                pairs.append((a, b, ground))
                break
    shares = []
    for a, b, ground in pairs[:: max(1, len(pairs) // _PAIRS)][:_PAIRS]:
        box = mask_box(masks[a])
        assert box is not None
        own = best_shift(clip, masks[a], box, a, b, ground, reach=1.3 * float(np.hypot(*ground)))
        if own is None:
            continue
        length = float(np.hypot(*ground))
        along = float(own @ ground) / length**2
        aside = abs(float(own[0] * ground[1] - own[1] * ground[0])) / length**2
        shares.append(along if aside <= _ASIDE else np.nan)
    if len(shares) < _LEAST_PAIRS or np.isnan(shares).mean() > 0.4:
        return None
    middle = float(np.nanmedian(shares))
    spread = float(np.nanmedian(np.abs(np.array(shares) - middle)))
    return middle if middle >= _LEAST_SHARE and spread <= _ALIKE * (1 + middle) else None


def _spans(masks: np.ndarray) -> bool:
    """Whether the masks take most of the frame's width or height at once."""
    boxes = mask_extents(masks).boxes
    sides = (boxes[:, 2:] - boxes[:, :2]) / np.array([masks.shape[2], masks.shape[1]])
    return bool(np.nanmedian(sides, axis=0).max() >= _SPAN)
