"""ID segmentation finds what a person points at."""

import cv2
import numpy as np
import pytest
from skimage import data

from curation.contract.errors import BackendUnavailableError, UsageError
from inference.request import Click
from inference.segmentation import segment_identity


@pytest.fixture(scope="module")
def scene():
    """(photograph 300x400 with a textured ball and a textured square on it, mask of the ball, mask of the square)."""
    ground = cv2.resize(data.grass(), (400, 300), interpolation=cv2.INTER_AREA)
    picture = np.dstack([ground // 3, ground // 2 + 60, ground // 3])
    texture = cv2.resize(data.brick(), (400, 300), interpolation=cv2.INTER_AREA)
    rows, columns = np.mgrid[:300, :400]
    ball = (rows - 110) ** 2 + (columns - 120) ** 2 < 60**2
    square = (abs(rows - 210) < 45) & (abs(columns - 310) < 45)
    picture[ball] = np.stack([texture // 3 + 160, texture // 4, texture // 4], axis=2)[ball]
    picture[square] = np.stack([texture // 4, texture // 4, texture // 3 + 160], axis=2)[square]
    return picture.astype(np.uint8), ball, square


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_a_box_finds_what_is_in_it(scene):
    picture, ball, square = scene
    assert iou(segment_identity(picture, box=(50, 40, 190, 180)), ball) > 0.9
    assert iou(segment_identity(picture, box=(255, 155, 365, 265)), square) > 0.9


def test_a_click_finds_what_it_is_on_and_nothing_else(scene):
    picture, ball, square = scene
    assert iou(segment_identity(picture, clicks=[Click(x=100, y=120)]), ball) > 0.9
    assert iou(segment_identity(picture, clicks=[Click(x=320, y=200)]), square) > 0.9


def test_clicks_add_and_take_away(scene):
    picture, ball, square = scene
    both = [Click(x=100, y=120), Click(x=320, y=200)]
    assert iou(segment_identity(picture, clicks=both), ball | square) > 0.9
    assert iou(segment_identity(picture, clicks=[both[0], Click(x=320, y=200, keep=False)]), ball) > 0.9
    in_box = segment_identity(picture, box=(40, 30, 380, 280), clicks=[Click(x=120, y=110)])
    assert iou(in_box, ball) > 0.9


def test_large_pictures_come_back_at_their_size_and_always_the_same(scene):
    picture, ball, _ = scene
    large = cv2.resize(picture, (1600, 1200), interpolation=cv2.INTER_CUBIC)
    mask = segment_identity(large, box=(200, 160, 760, 720))
    assert mask.shape == (1200, 1600) and mask.dtype == bool
    assert iou(cv2.resize(mask.view(np.uint8), (400, 300), interpolation=cv2.INTER_AREA) > 0, ball) > 0.85
    assert (mask == segment_identity(large, box=(200, 160, 760, 720))).all()


def test_nothing_is_ever_guessed(scene):
    picture = scene[0]
    with pytest.raises(UsageError, match="draw a box"):
        segment_identity(picture)
    with pytest.raises(UsageError, match="draw a box"):
        segment_identity(picture, clicks=[Click(x=1, y=1, keep=False)])
    with pytest.raises(UsageError, match="off the picture of 400x300"):
        segment_identity(picture, box=(500, 0, 600, 50))


@pytest.mark.parametrize("box", [(0, 0, 400, 300), (-5, -5, 500, 400), (10, 10, 11, 11)])
def test_odd_boxes_do_no_harm(scene, box):
    assert segment_identity(scene[0], box=box).shape == (300, 400)


def test_sam2_runs_from_a_local_folder(scene, tiny_model):
    from inference.segmentation.sam2 import Sam2

    segment = Sam2(str(tiny_model("sam2_picture")))
    mask = segment(scene[0], (50, 40, 190, 180), [Click(x=100, y=120), Click(x=5, y=5, keep=False)])
    assert mask.shape == (300, 400) and mask.dtype == bool
    assert segment(scene[0], None, [Click(x=100, y=120)]).shape == (300, 400)


def test_sam2_without_weights_says_how_to_get_them():
    from inference.segmentation.sam2 import Sam2

    with pytest.raises(BackendUnavailableError, match="hf download nobody/nothing"):
        Sam2("nobody/nothing")
