"""Two objects that meet, followed together through the time in which their masks touch.

Each is a layer: its shape as if nothing hid it, and its look. Both are moved to where their looks fit, and a pixel that
both may hold goes to the one that fits it better; who has fitted better where they overlap so far is in front and has
the benefit of the doubt (appearance models after Senior et al. 2006).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from curation.models.masks.align import aligned
from curation.models.masks.colours import colour_miss
from curation.models.masks.pieces import meeting, met_foreground
from curation.models.masks.windows import Window, carried
from curation.models.objects.motion_model import LIKELY, POSSIBLE, mask_motion, motion_model
from curation.video.media import ClipFrames

_LEAST_SHARE = 0.04  # of an object that must be seen for it to be seen at all
_LEAST_PX = 8
_FAMILIAR = 110.0  # sum of the three channels' differences below which a pixel looks as it did
_LEAST_OVERLAP = 20  # px in which it can be told who is in front
_MOST_LEAD = 60.0  # how much worse the one in front may fit, sum of the three channels
_HIDDEN = 0.3  # seen share of an object below which its place is guessed
_GROWTH = 1.3  # times an object's size that it may be in the next frame
_SEARCH_PX = 12  # at most, how much farther a hidden object is looked for
_SQUARE_3, _SQUARE_7 = (np.ones((side, side), np.uint8) for side in (3, 7))


@dataclass
class _Layer:
    """Frame-size pictures. Attributes:
    shape: uint8 0 and 1, the object as if nothing hid it; look: uint8 [h, w, 3], its colours there.
    visible: uint8 0 and 1, what was last seen of it; velocity: float64 [2], px per frame; hidden: frames since.
    """

    shape: np.ndarray
    look: np.ndarray
    visible: np.ndarray
    velocity: np.ndarray
    hidden: int = 0

    def move(self, picture: np.ndarray) -> None:
        """To where its look fits a frame, uint8 [h, w, 3]."""
        whole = Window(slice(0, self.shape.shape[0]), slice(0, self.shape.shape[1]))
        moved = aligned(picture, self.look, self.visible, whole, self.velocity)
        self.velocity = 0.6 * self.velocity + 0.4 * moved
        self.shape, self.look, self.visible = (
            carried(picture, whole, moved, whole) for picture in (self.shape, self.look, self.visible)
        )

    def reach(self) -> np.ndarray:
        """uint8 0 and 1: where it may be seen now."""
        side = 3 + 2 * min(self.hidden, _SEARCH_PX)
        return cv2.dilate(self.shape, np.ones((side, side), np.uint8))

    def remember(self, now: np.ndarray, found: np.ndarray, touch: bool) -> None:
        self.visible = found
        seen = found > 0
        self.hidden = self.hidden + 1 if found.sum() < _HIDDEN * self.shape.sum() else 0
        if touch:
            known = seen & (self.shape > 0)
            self.look[known] = cv2.addWeighted(self.look, 0.7, now, 0.3, 0)[known]
            self.look[seen & ~known] = now[seen & ~known]
            self.shape |= found
        elif not self.hidden:
            self.look[seen] = now[seen]
            self.shape = found.copy()


def follow_two(
    clip: ClipFrames, frame: int, masks: tuple[np.ndarray, np.ndarray], step: int
) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray], bool]]:
    """See `MaskTracker.follow_two`."""
    model = motion_model(clip)
    following = min(max(frame + step, 0), clip.length - 1)
    layers = []
    for mask in masks:
        everything = (slice(0, clip.height), slice(0, clip.width))
        velocity = mask_motion(model.flow(frame, following), mask, everything, clip.height, clip.width)
        layers.append(_Layer(mask.astype(np.uint8), clip.frames[frame].copy(), mask.astype(np.uint8), velocity))
    lead = 0.0
    while 0 <= frame + step < clip.length:
        frame += step
        for layer in layers:
            layer.move(clip.frames[frame])
        now, evidence = clip.frames[frame], model.evidence[frame]
        one, two = layers
        touch = bool((cv2.dilate(one.shape, _SQUARE_7) & two.shape).any())
        if touch:
            found, lead = _shared(now, evidence, one, two, lead)
        else:
            found = [_alone(now, evidence, layer, other) for layer, other in ((one, two), (two, one))]
        for layer, mask in zip(layers, found, strict=True):
            if mask.sum() < max(_LEAST_PX, _LEAST_SHARE * layer.shape.sum()):
                mask[:] = 0
            layer.remember(now, mask, touch)
        yield frame, (found[0] > 0, found[1] > 0), touch


def _alone(now: np.ndarray, evidence: np.ndarray, layer: _Layer, other: _Layer) -> np.ndarray:
    """uint8 0 and 1: what is seen of an object that the other one does not touch."""
    found = met_foreground(evidence, layer.shape, 1 - other.shape)
    if found.sum() > _GROWTH * layer.shape.sum():  # a third one touches it
        found &= layer.reach() & ((colour_miss(now, layer.look) < _FAMILIAR) | (layer.shape > 0))
    return found


def _shared(
    now: np.ndarray, evidence: np.ndarray, one: _Layer, two: _Layer, lead: float
) -> tuple[list[np.ndarray], float]:
    """What is seen of either (uint8 0 and 1), and how much better `one` fits where they overlap, over time."""
    shape = [layer.shape > 0 for layer in (one, two)]
    reach = [layer.reach() > 0 for layer in (one, two)]
    miss = [colour_miss(now, layer.look) for layer in (one, two)]
    likely = (evidence >= LIKELY) | ((evidence >= POSSIBLE) & (shape[0] | shape[1]))
    both = shape[0] & shape[1]
    overlap = both & likely
    if np.count_nonzero(overlap) >= _LEAST_OVERLAP:
        lead = 0.7 * lead + 0.3 * float(np.clip(miss[1] - miss[0], -_MOST_LEAD, _MOST_LEAD)[overlap].mean())
    # An object has no look of its own beyond its shape: there it has to fit much better.
    cost = [fit + _FAMILIAR * ~known for fit, known in zip(miss, shape, strict=True)]
    first = cost[0] < cost[1] + 2 * lead * both
    found = []
    for side, better in enumerate((first, ~first)):
        own = likely & reach[side] & (better | ~reach[1 - side]) & (shape[side] | (miss[side] < _FAMILIAR))
        opened = cv2.morphologyEx(own.astype(np.uint8), cv2.MORPH_OPEN, _SQUARE_3)
        found.append(meeting(opened, (one, two)[side].shape))
    return found, lead
