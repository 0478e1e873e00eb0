"""Conditions against a plain re-computation of the recipe, one whole frame after the other."""

import time

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.conditioning.canvas import mask_outside, scale_box, to_model_range
from training.conditioning.colours import COLOURS
from training.conditioning.identity import place_identity
from training.conditioning.trajectory import draw_dots, draw_trajectories, paste_dots


def plain(objects, source_size, canvas_size, dot_radius):
    height, width = source_size
    r = int(dot_radius * height / 384)
    axis = np.arange(45) - 22
    kernel = np.exp(-0.5 * (axis[:, None] ** 2 + axis[None] ** 2) / 9.0)
    kernel /= kernel.sum()
    frames = []
    for t in range(len(objects[0])):
        image = np.full((height, width, 3), 255, np.float32)
        for index, points in enumerate(objects):
            for x, y in points[t]:
                if 0 <= x < width and 0 <= y < height:
                    image[max(0, y - r) : min(height, y + r), max(0, x - r) : min(width, x + r)] = COLOURS[index]
        image = cv2.resize(image, canvas_size[::-1], interpolation=cv2.INTER_CUBIC)
        frames.append(cv2.filter2D(image, -1, kernel).astype(np.uint8))
    return np.stack(frames)


@pytest.mark.parametrize("source_size", [(360, 640), (720, 1280), (480, 480), (1080, 608)])
@pytest.mark.parametrize(("canvas_size", "dot_radius"), [((480, 720), 6), ((352, 640), 7)])
def test_trajectory_video_equals_the_recipe(source_size, canvas_size, dot_radius):
    rng = np.random.default_rng(3)
    low, high = (-40, -40), (source_size[1] + 40, source_size[0] + 40)
    objects = [rng.integers(low, high, (3, count, 2)) for count in (5, 1, 0, 9)]
    objects[3] = objects[3] // 6 + 30  # squares that cover each other
    drawn = draw_trajectories(objects, source_size, canvas_size, dot_radius)
    expected = plain(objects, source_size, canvas_size, dot_radius)
    difference = np.abs(drawn.astype(int) - expected)
    assert drawn.dtype == np.uint8 and drawn.shape == (3, *canvas_size, 3)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_nothing_to_draw_is_white():
    outside = np.full((2, 3, 2), -5.0)
    assert (draw_trajectories([outside], (100, 100), (64, 64), 7) == 255).all()
    assert (draw_trajectories([np.full((2, 3, 2), np.nan)], (384, 384), (64, 64), 7) == 255).all()
    assert (draw_trajectories([np.zeros((2, 0, 2))], (384, 384), (64, 64), 7) == 255).all()


def test_dots_pasted_on_a_device_are_the_video_that_is_drawn():
    rng = np.random.default_rng(5)
    objects = [rng.integers((-20, -20), (700, 400), (5, 12, 2)) for _ in range(3)]
    dots = draw_dots(objects, (360, 640), (96, 160), 7)
    video = torch.full((5, 96, 160, 3), 255, dtype=torch.uint8)
    paste_dots(video, torch.from_numpy(dots.places), torch.from_numpy(dots.pixels))
    assert np.array_equal(video.numpy(), draw_trajectories(objects, (360, 640), (96, 160), 7))
    covered = np.zeros((5, 96, 160), int)
    for frame, top, left, height, width in dots.places:
        covered[frame, top : top + height, left : left + width] += 1
    assert covered.max() == 1 and (video.numpy()[covered == 0] == 255).all()


def test_tracks_of_different_length_are_refused():
    with pytest.raises(ValueError, match="same length"):
        draw_trajectories([np.zeros((2, 1, 2)), np.zeros((3, 1, 2))], (64, 64), (64, 64), 7)
    with pytest.raises(ValueError, match="at least one"):
        draw_trajectories([], (64, 64), (64, 64), 7)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(100, 500), st.integers(100, 500))
def test_any_points_stay_within_one_level_of_the_recipe(seed, height, width):
    rng = np.random.default_rng(seed)
    objects = [rng.integers((-9, -9), (width + 9, height + 9), (1, 4, 2)) for _ in range(2)]
    drawn = draw_trajectories(objects, (height, width), (96, 160), 7)
    assert np.abs(drawn.astype(int) - plain(objects, (height, width), (96, 160), 7)).max() <= 1


def test_drawing_is_much_faster_than_whole_frames():
    rng = np.random.default_rng(0)
    objects = [rng.integers(0, 300, (8, 12, 2)) + 200, rng.integers(0, 200, (8, 8, 2)) + 500]
    ours, theirs = [], []
    for _ in range(4):  # the first one warms up; the others may meet a busy machine
        started = time.perf_counter()
        draw_trajectories(objects, (720, 1280), (704, 1280), 7)
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        plain(objects, (720, 1280), (704, 1280), 7)
        theirs.append(time.perf_counter() - started)
    assert min(ours) < 0.5 * min(theirs)


def test_first_frame_is_black_outside_the_box():
    frame = np.random.default_rng(0).integers(1, 256, (40, 60, 3), dtype=np.uint8)
    masked = mask_outside(frame, (10, 5, 30, 40))
    assert (masked[5:40, 10:30] == frame[5:40, 10:30]).all()
    assert masked.sum() == frame[5:40, 10:30].sum()
    with pytest.raises(ValueError, match="60x40"):
        mask_outside(frame, (10, 5, 70, 40))


def test_boxes_scale_and_cut_off():
    assert scale_box((100, 50, 301, 199), (200, 400), (480, 720)) == (180, 120, 541, 477)


def test_pixels_map_to_model_range():
    assert to_model_range(np.array([0, 255], np.uint8)).tolist() == [-1.0, 1.0]


def test_identity_keeps_its_aspect():
    crop = np.zeros((50, 100, 4), np.uint8)
    crop[..., 0], crop[..., 3] = 200, 255
    placed = place_identity(crop, (480, 720))
    rows, columns = np.nonzero(placed[..., 0] > 100)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (360, 720)
    assert abs(rows.mean() - 239.5) <= 0.5 and abs(columns.mean() - 359.5) <= 0.5


def test_legacy_identity_is_stretched_as_in_the_release():
    crop = np.full((100, 100, 3), 200, np.uint8)
    rows, columns = np.nonzero(place_identity(crop, (480, 720), legacy_stretch=True)[..., 0])
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (480, 720)


def test_transparent_pixels_are_black_and_no_identity_is_all_black():
    crop = np.full((10, 10, 4), 255, np.uint8)
    crop[:, 5:, 3] = 0
    placed = place_identity(crop, (100, 100))
    assert placed[:, :49].min() > 200 and placed[:, 52:].max() < 60
    assert place_identity(None, (32, 64)).shape == (32, 64, 3) and not place_identity(None, (32, 64)).any()


def test_dots_that_resizing_steps_over_leave_the_canvas_white():
    everywhere = np.stack(np.meshgrid(np.arange(176), np.arange(96)), axis=-1).reshape(-1, 1, 2)
    video = draw_trajectories([everywhere.astype(np.float32)], (96, 176), (16, 32), dot_radius=4)
    white = (video == 255).all(axis=(1, 2, 3))
    assert white.any() and not white.all()
