"""Edges of masks: at half of the strength inside, and at an opacity of one half where the frames around are known."""

import cv2
import numpy as np
import pytest

from curation.contract.mask_tube import MaskTube
from curation.models.masks.appearance import Appearance, appearances
from curation.models.masks.edges import half_strength
from curation.models.masks.matting import matted
from curation.models.masks.object_motion import object_motion
from curation.models.masks.sharpened import sharpened
from curation.models.masks.windows import Window
from curation.models.objects.motion_model import motion_model

_LEAST = 6
_SMALL = {"width": 240, "height": 136, "frames": 48}


def _disc(radius: float, centre: tuple[int, int] = (60, 60)) -> np.ndarray:
    ys, xs = np.mgrid[:120, :120]
    return np.hypot(xs - centre[0], ys - centre[1]) <= radius


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


@pytest.mark.parametrize("strength", [16, 60, 200])
@pytest.mark.parametrize("softness", [0.8, 1.6])
def test_finds_the_edge_again(strength, softness):
    truth = _disc(25)
    evidence = (cv2.GaussianBlur(truth.astype(np.float32), (0, 0), softness) * strength).astype(np.uint8)
    for wrong in (_disc(26.5), _disc(24.2)):
        edged = half_strength(wrong, evidence, _LEAST)
        assert _iou(edged, truth) > 0.97 > _iou(wrong, truth)


def test_the_border_of_the_frame_is_no_edge():
    truth = _disc(25, centre=(4, 60))
    evidence = (cv2.GaussianBlur(truth.astype(np.float32), (0, 0), 1.0) * 100).astype(np.uint8)
    edged = half_strength(truth, evidence, _LEAST)
    assert edged[:, 0].sum() == truth[:, 0].sum()


def test_a_weak_part_is_no_hole():
    truth = _disc(25)
    evidence = truth.astype(np.uint8) * 100
    evidence[50:70, 40:80] = 8
    assert half_strength(truth, evidence, _LEAST)[50:70, 40:80].all()


def test_what_has_no_inside_stays_as_it_is():
    mask = np.zeros((40, 40), bool)
    mask[10:30, 20:23] = True
    assert np.array_equal(half_strength(mask, mask.astype(np.uint8) * 50, _LEAST), mask)
    assert not half_strength(mask & False, mask.astype(np.uint8), _LEAST).any()


def _mixed(alpha: np.ndarray, colour: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [h, w, 3] pictures with and without something of an opacity [h, w] before a coarse texture."""
    rng = np.random.default_rng(0)
    behind = cv2.resize(rng.uniform(60, 160, (12, 12, 3)), alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
    picture = behind * (1 - alpha[..., None]) + np.array(colour) * alpha[..., None]
    return picture.astype(np.uint8), behind.astype(np.uint8)


def _flat(share: np.ndarray, colour: tuple[int, int, int]) -> Appearance:
    height, width = share.shape
    colours = np.full((height, width, 3), colour, np.float32)
    window = Window(slice(0, height), slice(0, width))
    return Appearance(window, share.astype(np.float32), colours, 3 * share.astype(np.float32))


@pytest.mark.parametrize("error", [-2, 2])
def test_a_wrong_edge_is_moved_to_half_opacity(error):
    truth, wrong = _disc(25), _disc(25 + error)
    alpha = cv2.GaussianBlur(truth.astype(np.float32), (0, 0), 1.2)
    picture, behind = _mixed(alpha, (230, 40, 40))
    found = matted(wrong, _flat(wrong, (230, 40, 40)), picture, behind)
    assert _iou(found, truth) > 0.97 > _iou(wrong, truth)


def test_where_object_and_background_are_alike_the_frames_around_decide():
    truth = _disc(25)
    picture, behind = _mixed(truth.astype(np.float32) * 0, (0, 0, 0))
    appearance = _flat(truth, (0, 0, 0))
    appearance.colours[:] = behind
    assert np.array_equal(matted(_disc(27), appearance, picture, behind), truth)


def test_a_part_that_one_mask_lacks_is_known_from_the_frames_around(scene, clip_frames):
    rendered = scene("static_cross_left_right", **_SMALL)
    clip, _ = clip_frames(rendered)
    truth = rendered.masks[rendered.objects[0]]
    lacks = truth[24].copy()
    lacks[:, : int(np.nonzero(lacks.any(axis=0))[0].mean())] = False
    masks = truth.copy()
    masks[24] &= ~lacks
    appearance = list(appearances(motion_model(clip), MaskTube.of(masks, truth.shape[1:]), []))[24]
    assert appearance is not None
    likely = appearance.share > 0.5
    assert likely[appearance.window.of(lacks)].mean() > 0.9
    assert likely[~appearance.window.of(truth[24])].mean() < 0.02


def test_motion_of_an_object_that_turns(scene, clip_frames):
    rendered = scene("bounce", **_SMALL)
    clip, _ = clip_frames(rendered)
    name = rendered.objects[0]
    masks = MaskTube.of(rendered.masks[name], rendered.masks[name].shape[1:])
    places = rendered.surfaces[name].matrices
    for frame in range(20, 30):
        motion = object_motion(motion_model(clip), masks, frame)
        assert motion is not None
        true = places[frame + 1] @ np.linalg.inv(places[frame])
        rows, columns = np.nonzero(masks[frame])
        points = np.stack([columns, rows, np.ones(len(rows))])
        assert np.abs(motion @ points - true[:2] @ points).max() < 1


@pytest.mark.parametrize("name", ["static_cross_left_right", "handheld_cross"])
def test_ragged_masks_come_close_to_the_truth(scene, clip_frames, name):
    rendered = scene(name, **_SMALL)
    clip, _ = clip_frames(rendered)
    truth = rendered.masks[rendered.objects[0]]
    rng = np.random.default_rng(0)
    ragged = np.zeros_like(truth)
    for frame, mask in enumerate(truth):
        noise = cv2.GaussianBlur(rng.normal(0, 1, mask.shape), (0, 0), 3)
        depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
        outside = cv2.distanceTransform(1 - mask.astype(np.uint8), cv2.DIST_L2, 3)
        ragged[frame] = depth - outside > 2 * noise / noise.std() if mask.any() else False
    found = sharpened(clip, MaskTube.of(ragged, ragged.shape[1:]), [])
    seen = np.flatnonzero(truth.any(axis=(1, 2)))
    before, after = (np.mean([_iou(masks[frame], truth[frame]) for frame in seen]) for masks in (ragged, found))
    assert after > 0.88
    assert after > before + 0.05
