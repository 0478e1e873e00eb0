"""Masks over a clip as packed bits: what goes in comes out."""

import numpy as np
import pytest

from curation.contract.mask_tube import MaskTube
from curation.stages.clip_masks import mask_extents


@pytest.fixture
def masks() -> np.ndarray:
    rng = np.random.default_rng(3)
    masks = np.zeros((9, 31, 45), bool)
    for frame in (0, 1, 4, 8):
        masks[frame, 3 + frame : 20 + frame, 7 : 30 + frame] = rng.random((17, 23 + frame)) > 0.6
    return masks


def test_reads_like_the_array(masks):
    tube = MaskTube.of(masks, masks.shape[1:])
    assert tube.shape == masks.shape
    assert len(tube) == len(masks)
    assert np.array_equal(np.asarray(tube), masks)
    assert np.array_equal(tube[4], masks[4])
    assert np.array_equal(np.asarray(tube[1:6]), masks[1:6])
    with pytest.raises(IndexError):
        tube[9]


def test_two_are_joined(masks):
    other = np.roll(masks, (1, 2), axis=(0, 1))
    tube = MaskTube.of(masks, masks.shape[1:]) | MaskTube.of(other, masks.shape[1:])
    assert np.array_equal(np.asarray(tube), masks | other)


def test_extents_are_those_of_the_array(masks):
    of_tube, of_array = mask_extents(MaskTube.of(masks, masks.shape[1:])), mask_extents(masks)
    assert np.array_equal(of_tube.areas, of_array.areas)
    assert np.array_equal(of_tube.boxes, of_array.boxes, equal_nan=True)
