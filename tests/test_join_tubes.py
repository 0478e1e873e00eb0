"""Tubes of one object are joined, tubes of two are not."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from curation.contract.mask_tube import MaskTube
from curation.models.objects.protocol import Detection
from curation.stages.join_tubes import join_pieces, join_tubes
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


def test_a_speck_long_before_is_no_beginning():
    clip, tubes = _clip_with([(20, 35, -2, RED), (38, 60, -2, RED)])
    masks = np.asarray(tubes[1][0]).copy()
    masks[:, :, 100:] = False
    masks[38:60, 30:50, 64:84] = True
    masks[24, 80:83, 60:64] = True
    clip.frames[38:60] = 128
    clip.frames[38:60, 30:50, 64:84] = RED
    tubes[1] = (MaskTube.of(masks, (_HEIGHT, _WIDTH)), tubes[1][1])
    assert len(join_tubes(clip, tubes, longest_seconds=4.0)) == 1


@pytest.mark.parametrize(
    ("its_look", "its_speed", "joined"),
    [(1, 2, True), (2, 2, False), (1, -1, False)],
    ids=["one body", "other look", "other way"],
)
def test_what_shows_on_both_sides_of_a_pillar_is_one(its_look, its_speed, joined):
    """Each side is seen for a while that the other is not; both are for the middle of their time."""
    looks = [np.random.default_rng(seed).integers(60 * seed, 60 * seed + 60, (_HEIGHT, 200, 3)) for seed in range(3)]
    looks = [cv2.GaussianBlur(look.astype(np.uint8), (0, 0), 2) for look in looks]
    looks = [
        cv2.normalize(look, np.empty_like(look), 60 * n, 60 * n + 60, cv2.NORM_MINMAX) for n, look in enumerate(looks)
    ]
    frames = np.tile(looks[0][:, :_WIDTH], (_LENGTH, 1, 1, 1))
    sides = [np.zeros(frames.shape[:3], bool) for _ in range(2)]
    for frame in range(_LENGTH):
        for side, (part, look, speed) in enumerate([((0, 72), 1, 2), ((80, _WIDTH), its_look, its_speed)]):
            left = 10 + 2 * frame if speed > 0 else 110 - frame
            first, last = max(left, part[0]), min(left + 50, part[1])
            if last - first > 2:
                frames[frame, 20:60, first:last] = looks[look][20:60, first - left : last - left]
                sides[side][frame, 20:60, first:last] = True
    clip = ClipFrames(
        "video", "clip", 0, Fraction(_FPS), frames, np.arange(_LENGTH) / _FPS, _WIDTH, _HEIGHT, pictures={}
    )
    tubes = [(MaskTube.of(masks, (_HEIGHT, _WIDTH)), Detection(masks[30], "object", 1.0)) for masks in sides]
    assert len(join_pieces(clip, tubes)) == (1 if joined else 2)


@pytest.mark.parametrize("gain", [1.0, 1.3], ids=["same light", "other exposure"])
def test_a_slip_and_another_exposure_are_no_other_object(gain):
    """It goes behind a pillar bit by bit; its last mask is a slip; the exposure changes while it is hidden."""
    backdrop = np.random.default_rng(0).integers(30, 210, (_HEIGHT, _WIDTH, 3)).astype(np.uint8)
    frames = np.tile(cv2.GaussianBlur(backdrop, (0, 0), 2), (_LENGTH, 1, 1, 1))
    before, after = np.zeros((2, *frames.shape[:3]), bool)
    for frame in range(_LENGTH):
        place = np.zeros(frames.shape[1:3], bool)
        place[30:50, 10 + 2 * frame : 30 + 2 * frame] = True
        place[:, 60:90] = False
        before[frame, :, :60], after[frame, :, 90:] = place[:, :60], place[:, 90:]
        frames[frame, place] = (150, 40, 40)
    before[int(before.any(axis=(1, 2)).nonzero()[0][-1]) + 1, 70:80, 10:20] = True
    frames[30:] = np.clip(frames[30:] * gain, 0, 255).astype(np.uint8)
    frames[:, :, 60:90] = 20
    clip = ClipFrames(
        "video", "clip", 0, Fraction(_FPS), frames, np.arange(_LENGTH) / _FPS, _WIDTH, _HEIGHT, pictures={}
    )
    tubes = [
        (MaskTube.of(masks, (_HEIGHT, _WIDTH)), Detection(masks[masks.any(axis=(1, 2)).argmax()], "object", 1.0))
        for masks in (before, after)
    ]
    assert len(join_tubes(clip, tubes, longest_seconds=4.0)) == 1
