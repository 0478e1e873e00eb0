"""Tubes of one object are joined, tubes of two are not."""

from fractions import Fraction

import numpy as np
import pytest

from curation.contract.mask_tube import MaskTube
from curation.models.objects.protocol import Detection
from curation.stages.join_tubes import join_tubes
from curation.video.media import ClipFrames

_FPS, _LENGTH, _HEIGHT, _WIDTH = 10, 80, 90, 160


def _clip_with(visits: list[tuple[int, int, int, tuple[int, int, int]]]) -> tuple[ClipFrames, list]:
    """A 20 px square at each visit: frames [first, end) in which it goes from x = 120 by `speed` px a frame; colour."""
    frames = np.full((_LENGTH, _HEIGHT, _WIDTH, 3), 128, np.uint8)
    tubes = []
    for first, end, speed, colour in visits:
        masks = np.zeros(frames.shape[:3], bool)
        for frame in range(first, end):
            x = 120 + speed * (frame - first)
            masks[frame, 30:50, max(0, x) : max(0, x + 20)] = True
        frames[masks] = colour
        tubes.append((MaskTube.of(masks, (_HEIGHT, _WIDTH)), Detection(masks[first], "object", 1.0)))
    clip = ClipFrames(
        "video", "clip", 0, Fraction(_FPS), frames, np.arange(_LENGTH) / _FPS, _WIDTH, _HEIGHT, pictures={}
    )
    return clip, tubes


RED, BLUE = (200, 40, 40), (40, 40, 200)


@pytest.mark.parametrize(
    ("back", "colour", "joined"), [(45, RED, True), (45, BLUE, False), (65, RED, False)], ids=["back", "other", "late"]
)
def test_what_comes_back_over_the_border_is_itself(back, colour, joined):
    clip, tubes = _clip_with([(0, 15, 2, RED), (back, back + 15, -2, colour)])
    # It comes back where it went: the second visit starts at the border.
    masks = np.zeros((_LENGTH, _HEIGHT, _WIDTH), bool)
    for frame in range(back, back + 15):
        masks[frame, 30:50, 148 - 2 * (frame - back) : _WIDTH - 2 * max(0, frame - back - 4)] = True
    clip.frames[back:] = 128
    clip.frames[masks] = colour
    tubes[1] = (MaskTube.of(masks, (_HEIGHT, _WIDTH)), tubes[1][1])
    assert len(join_tubes(clip, tubes, longest_seconds=4.0)) == (1 if joined else 2)
