"""Objects that meet and were followed as one are told apart again."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from curation.contract.mask_tube import MaskTube
from curation.models.masks.foreground import ForegroundConfig, ForegroundMasks
from curation.models.objects.protocol import Detection
from curation.stages.untangle import untangle
from curation.video.media import ClipFrames

_LENGTH, _HEIGHT, _WIDTH = 60, 100, 220


@pytest.fixture(scope="module")
def crossing() -> tuple[ClipFrames, np.ndarray, np.ndarray]:
    """A green box goes right before a textured wall, a smaller red one left in front of it; what is seen of both."""
    noise = np.random.default_rng(0)
    wall, box, small = (
        cv2.GaussianBlur(noise.integers(0, 255, (_HEIGHT, _WIDTH, 3)).astype(np.uint8), (0, 0), 2) for _ in range(3)
    )
    green = cv2.addWeighted(box, 0.6, np.full_like(box, (20, 180, 40)), 0.5, 0)
    red = cv2.addWeighted(small, 0.6, np.full_like(small, (190, 30, 30)), 0.5, 0)
    frames = np.tile(wall, (_LENGTH, 1, 1, 1))
    masks = np.zeros((2, _LENGTH, _HEIGHT, _WIDTH), bool)
    for frame in range(_LENGTH):
        x, y = 10 + 2 * frame, 180 - 2 * frame
        masks[0, frame, 20:60, x : x + 50] = True
        masks[1, frame, 45:70, y : y + 25] = True
        frames[frame, 20:60, x : x + 50] = green[:40, :50]
        frames[frame, 45:70, y : y + 25] = red[:25, :25]
    masks[0] &= ~masks[1]
    seconds = np.arange(_LENGTH) / 20
    clip = ClipFrames("video", "clip", 0, Fraction(20), frames, seconds, _WIDTH, _HEIGHT, pictures={})
    return clip, masks[0], masks[1]


def _tube(masks: np.ndarray) -> tuple[MaskTube, Detection]:
    return MaskTube.of(masks, (_HEIGHT, _WIDTH)), Detection(masks[np.argmax(masks.any(axis=(1, 2)))], "object", 1.0)


def _iou(tube: MaskTube, masks: np.ndarray) -> float:
    found = np.asarray(tube)
    return np.count_nonzero(found & masks) / np.count_nonzero(found | masks)


@pytest.mark.parametrize("what", ["swallowed", "swapped", "backwards"])
def test_two_that_cross_go_on_as_what_they_were(crossing, what):
    clip, large, small = crossing
    meet = 25  # the masks touch from here to frame 47
    first, second = large.copy(), small.copy()
    if what == "swallowed":
        first[meet:] |= small[meet:]
        second[meet:] = False
        tubes = [_tube(first), _tube(second)]
    elif what == "backwards":
        first[meet - 1 : 50] |= small[meet - 1 : 50]  # the small one is first seen apart after they met
        second[:50] = False
        tubes = [_tube(first), _tube(second)]
    else:
        first[meet:] |= small[meet:]
        first[50:] = small[50:]
        second[meet:] = False
        rest = large.copy()
        rest[:50] = False
        tubes = [_tube(first), _tube(second), _tube(rest)]
    found = untangle(clip, tubes, ForegroundMasks(ForegroundConfig()))
    assert len(found) == 2
    assert _iou(found[0][0], large) > 0.8
    assert _iou(found[1][0], small) > 0.8


def test_what_never_meets_stays_as_it_is(crossing):
    clip, large, small = crossing
    small = small.copy()
    small[20:] = False
    large = large.copy()
    large[20:] = False
    tubes = [_tube(large), _tube(small)]
    assert untangle(clip, tubes, ForegroundMasks(ForegroundConfig())) == tubes
