"""Edges of masks: at half of the strength inside, however strong the object is and however soft its edge."""

import cv2
import numpy as np
import pytest

from curation.models.masks.edges import half_strength

_LEAST = 6


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
