"""Near scenery passes faster than the background when the camera moves: that is parallax, not a moving object.

What stands still at another depth goes a fixed share further than the ground, along the ground's own way, whatever the
camera does. A single thing that does so may still be an object that happens to move against the camera; several with
the same share, or one that spans the frame, are scenery (plane plus parallax: Irani and Anandan 1998, section 3).
"""

import numpy as np

from curation.contract.mask_tube import Masks, MaskTube
from curation.models.objects.motion_model import motion_model
from curation.models.objects.protocol import Detection
from curation.stages.clip_masks import Extents, mask_extents
from curation.stages.own_motion import best_shift, reach_frames, thinned
from curation.video.media import ClipFrames

_STEP_PX = 5.0  # the ground's way between two frames that are compared
_PAIRS = 10
_LEAST_PAIRS = 3
_ALIKE = 0.12  # spread of the share within one thing, and between things at the same depth
_ASIDE = 0.2  # way across the ground's, as a share of the ground's way
_LEAST_SHARE = 0.08  # nearer than the ground by this much
_SPAN = 0.6  # of the frame's width or height that only scenery takes


def without_scenery(clip: ClipFrames, tubes: list[tuple[MaskTube, Detection]]) -> list[tuple[MaskTube, Detection]]:
    """The tubes (masks over the clip, bool [T, h, w], with a detection) that are no scenery."""
    if motion_model(clip).path.still:
        return tubes
    extents = [mask_extents(masks) for masks, _ in tubes]
    shares = [parallax_share(clip, masks, outline) for (masks, _), outline in zip(tubes, extents, strict=True)]
    kept = []
    for index, (tube, outline, share) in enumerate(zip(tubes, extents, shares, strict=True)):
        others = [other for other in shares[:index] + shares[index + 1 :] if other is not None]
        alone = share is None or all(abs(other - share) > _ALIKE * (1 + share) for other in others)
        if share is None or (alone and not _spans(clip, outline)):
            kept.append(tube)
    return kept


def parallax_share(clip: ClipFrames, masks: Masks, extents: Extents) -> float | None:
    """How much further than the ground the thing goes along the ground's way; None when it does not go like scenery."""
    path = motion_model(clip).path
    pairs = []
    for a in np.flatnonzero(extents.areas).tolist():
        centre = (extents.boxes[a][:2] + extents.boxes[a][2:]) / 2
        for b in range(a + 1, min(a + reach_frames(clip), clip.length - 1) + 1):
            ground = path.way(centre, a, b)
            if np.hypot(*ground) >= _STEP_PX:
                pairs.append((a, b, ground))
                break
    shares = []
    for a, b, ground in thinned(pairs, _PAIRS):
        length = float(np.hypot(*ground))
        own = best_shift(clip, masks[a], extents.boxes[a], a, b, ground, reach=1.3 * length)
        if own is None:
            continue
        along = float(own @ ground) / length**2
        aside = abs(float(own[0] * ground[1] - own[1] * ground[0])) / length**2
        shares.append(along if aside <= _ASIDE else np.nan)
    if len(shares) < _LEAST_PAIRS or np.isnan(shares).mean() > 0.4:
        return None
    middle = float(np.nanmedian(shares))
    spread = float(np.nanmedian(np.abs(np.array(shares) - middle)))
    return middle if middle >= _LEAST_SHARE and spread <= _ALIKE * (1 + middle) else None


def _spans(clip: ClipFrames, extents: Extents) -> bool:
    """Whether the masks take most of the frame's width or height at once."""
    sides = (extents.boxes[:, 2:] - extents.boxes[:, :2]) / (clip.width, clip.height)
    return bool(np.nanmedian(sides, axis=0).max() >= _SPAN)
