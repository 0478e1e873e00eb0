"""Near scenery passes faster than the background when the camera moves: that is parallax, not a moving object.

What stands still at another depth goes a fixed share further than the ground, along the ground's own way, whatever the
camera does. A single thing that does so may still be an object that happens to move against the camera; several with
the same share, or one that spans the frame, are scenery (plane plus parallax: Irani and Anandan 1998, section 3). Where
there is such scenery, what goes no further than it along the ground's way is a piece of it, and so is what seldom takes
its picture along: masks slip along the edges of scenery.
"""

import numpy as np

from curation.contract.mask_tube import Masks, MaskTube
from curation.models.objects.motion_model import motion_model
from curation.models.objects.protocol import Detection
from curation.stages.clip_masks import Extents, mask_extents
from curation.stages.own_motion import carried_share, misses, reach_frames, thinned
from curation.video.media import ClipFrames

_STEP_PX = 16.0  # the ground's way between two frames that are compared: shares come in whole pixels of it
_STEP_SECONDS = 2.0  # in at most this time: slow pans at few frames a second take that long
_PAIRS = 10
_LEAST_PAIRS = 3
_ALIKE = 0.12  # spread of the share within one thing, and between things at the same depth
_ASIDE = 0.2  # way across the ground's, as a share of the ground's way
_AS_GOOD = 1.2  # times the best fit's squared difference that a fit along the ground's way may have
_ASTRAY = 0.4  # share of the pairs of frames that may say something else
_LEAST_SHARE = 0.08  # nearer than the ground by this much
_TOLD = 0.5  # of the pairs, at least, in which it goes along the ground's way, to tell how much of it
_CARRIED = 0.6  # of the pairs of frames in which an object's picture goes along with its masks, at least
_SPAN = 0.6  # of the frame's width or height that only scenery takes


def without_scenery(clip: ClipFrames, tubes: list[tuple[MaskTube, Detection]]) -> list[tuple[MaskTube, Detection]]:
    """The tubes (masks over the clip, bool [T, h, w], with a detection) that are no scenery."""
    if motion_model(clip).path.still:
        return tubes
    extents = [mask_extents(masks) for masks, _ in tubes]
    ways = [parallax_shares(clip, masks, outline) for (masks, _), outline in zip(tubes, extents, strict=True)]
    steady = [_steady_share(shares) for shares in ways]
    layers = [
        share
        for index, share in enumerate(steady)
        if share is not None and any(_alike(share, other) for other in steady[:index] + steady[index + 1 :])
    ]
    kept = []
    for tube, outline, shares, share in zip(tubes, extents, ways, steady, strict=True):
        spans = share is not None and _spans(clip, outline)
        slips = bool(layers) and (
            _within_depth(shares, max(layers))
            or _at_a_layer(shares, layers)
            or carried_share(clip, tube[0], outline) < _CARRIED
        )
        if not spans and not slips:
            kept.append(tube)
    return kept


def parallax_shares(clip: ClipFrames, masks: Masks, extents: Extents) -> np.ndarray:
    """How much further than the ground the thing goes along the ground's way, between pairs of frames.

    Returns:
        float64 [N], 0 for what stays with the ground; nan where it goes another way than the ground does.
    """
    path = motion_model(clip).path
    reach = reach_frames(clip, _STEP_SECONDS)
    pairs = []
    for a in np.flatnonzero(extents.areas).tolist():
        centre = (extents.boxes[a][:2] + extents.boxes[a][2:]) / 2
        for b in range(a + 1, min(a + reach, clip.length - 1) + 1):
            ground = path.way(centre, a, b)
            if np.hypot(*ground) >= _STEP_PX:
                pairs.append((a, b, ground))
                break
    shares = []
    for a, b, ground in thinned(pairs, _PAIRS):
        length = float(np.hypot(*ground))
        found = misses(clip, masks[a], extents.boxes[a], a, b, ground, reach=1.3 * length)
        if found is None:
            continue
        miss, shifts = found
        along = shifts @ ground / length**2
        aside = np.abs(shifts[..., 0] * ground[1] - shifts[..., 1] * ground[0]) / length**2
        # A pole looks the same a little higher up: what fits nearly as well along the ground's way goes along it.
        on_the_way = np.where(aside <= _ASIDE, miss, np.inf)
        best = np.unravel_index(int(on_the_way.argmin()), miss.shape)
        shares.append(float(along[best]) if miss[best] <= _AS_GOOD * miss.min() else np.nan)
    return np.array(shares)


def _steady_share(shares: np.ndarray) -> float | None:
    """The share that holds for most pairs of frames; None when there is none, or it is the ground's."""
    if len(shares) < _LEAST_PAIRS or np.isnan(shares).mean() > _ASTRAY:
        return None
    middle = float(np.nanmedian(shares))
    spread = float(np.nanmedian(np.abs(shares - middle)))
    return middle if middle >= _LEAST_SHARE and spread <= _ALIKE * (1 + middle) else None


def _alike(share: float, other: float | None) -> bool:
    return other is not None and abs(other - share) <= _ALIKE * (1 + share)


def _within_depth(shares: np.ndarray, nearest: float) -> bool:
    """It goes as what lies from the ground to the nearest scenery does; its masks may slip from one to the other."""
    told = shares[~np.isnan(shares)]
    if len(told) < max(_LEAST_PAIRS, _TOLD * len(shares)):
        return False
    within = (told >= -_ASIDE) & (told <= nearest + _ALIKE * (1 + nearest))
    return bool(within.mean() >= 1 - _ASTRAY)


def _at_a_layer(shares: np.ndarray, layers: list[float]) -> bool:
    """It is seen for a moment, and whatever that tells of its way is the way of scenery."""
    told = shares[~np.isnan(shares)]
    alike = [any(_alike(layer, share) for layer in layers) for share in told.tolist()]
    return len(shares) < _PAIRS and bool(alike) and all(alike)


def _spans(clip: ClipFrames, extents: Extents) -> bool:
    """Whether the masks take most of the frame's width or height at once."""
    sides = (extents.boxes[:, 2:] - extents.boxes[:, :2]) / (clip.width, clip.height)
    return bool(np.nanmedian(sides, axis=0).max() >= _SPAN)
