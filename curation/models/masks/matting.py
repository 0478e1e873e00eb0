"""Opacity of an object before a known background, by least squares; its mask is where it covers a pixel by half."""

import cv2
import numpy as np

from curation.models.masks.appearance import Appearance
from curation.models.objects.background import levels_near

_BELIEF = 500.0  # squared levels: contrast of object and background from which a frame tells more than those around it
_SMOOTH_PX = 0.8  # deviation of the weights around a pixel by which noise is averaged out
_OVERSHOOT = 0.2  # opacity beyond 0..1 by which a pixel may outvote its neighbours
_SLACK_PX = 0.5  # how far off the background may lie
_CORE = 0.8  # share of frames from which a pixel is the object's for sure
_NEAR_PX = 6  # around a pixel, in which colours stand for those of a pixel that is not known
_GROWTH_PX = 2  # beyond the mask that may be the object


def matted(mask: np.ndarray, appearance: Appearance, picture: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """The mask with its edge at an opacity of one half, bool [h, w], all in the appearance's window.

    A pixel is a mixture of the object's colour and that of the background, and each says how much of it is the
    object's: all the better, the more the two differ. Where they do not, the frames around decide. Smoothed over the
    neighbours, with what the frames around say as one more observation (`_BELIEF`), it is the least-squares solution
    of Smith and Blinn's matting equation (1996) for a known background.

    Args:
        mask: bool [h, w]. Stays as it is where no colour of the object is known nearby.
        picture, behind: uint8 [h, w, 3], the frame and its background.
    """
    low, high = levels_near(behind, _SLACK_PX)
    colours, known = _colours(appearance)
    departs = picture - np.clip(picture.astype(np.float32), low, high)
    would = colours - np.clip(colours, low, high)
    contrast = np.square(would).sum(2)
    covered = np.clip((departs * would).sum(2), -_OVERSHOOT * contrast, (1 + _OVERSHOOT) * contrast)
    covered, contrast = (cv2.GaussianBlur(values, (0, 0), _SMOOTH_PX) for values in (covered, contrast))
    opacity = (covered + _BELIEF * appearance.share) / (contrast + _BELIEF)
    side = 2 * _GROWTH_PX + 1
    near = cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    return near & np.where(known, opacity > 0.5, mask)


def _colours(appearance: Appearance) -> tuple[np.ndarray, np.ndarray]:
    """float32 [h, w, 3], the colours that the object would have at every pixel, and bool [h, w] where these are known.

    Its own as far as a pixel is the object's, else those of the pixels nearby that are for sure.
    """
    often = np.minimum(appearance.weight, 1)
    core = often * (appearance.share > _CORE)
    side = (2 * _NEAR_PX + 1, 2 * _NEAR_PX + 1)
    around = cv2.boxFilter(appearance.colours * core[..., None], cv2.CV_32F, side, normalize=False)
    count = cv2.boxFilter(core, cv2.CV_32F, side, normalize=False)
    around /= np.maximum(count, 1e-3)[..., None]
    own = np.square(often * appearance.share)[..., None]
    return own * appearance.colours + (1 - own) * around, count > 0.5
