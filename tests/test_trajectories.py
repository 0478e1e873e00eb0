"""Trajectories at every frame: by time, by length, standing still, and gone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.request import Trajectory
from inference.trajectories import sample_trajectory


def test_the_speed_is_even_by_length_without_times():
    places = sample_trajectory([[0, 0], [10, 0], [10, 30]], [0, None, 1], 5, 4)
    assert places.tolist() == [[0, 0], [10, 0], [10, 10], [10, 20], [10, 30]]


def test_times_of_points_set_the_speed():
    places = sample_trajectory([[0, 0], [10, 0], [10, 30]], [0, 0.75, 1], 5, 4)
    assert places[:, 0].tolist() == pytest.approx([0, 10 / 3, 20 / 3, 10, 10])
    assert places[3:].tolist() == [[10, 0], [10, 30]]


def test_a_point_is_gone_before_its_first_and_after_its_last_time():
    line = Trajectory(points=((0, 0), (8, 0)), start=1, end=2)
    places = line.sample(num_frames=17, fps=4)
    assert np.isnan(places[:4]).all() and np.isnan(places[9:]).all()
    assert places[4:9, 0].tolist() == [0, 2, 4, 6, 8]


def test_a_single_point_stands_still_and_points_on_one_spot_too():
    assert Trajectory(points=((3, 4),)).sample(5, 4).tolist() == [[3, 4]] * 5
    still = Trajectory(points=((3, 4), (3, 4), (3, 4))).sample(5, 4)
    assert still.tolist() == [[3, 4]] * 5


def test_times_must_rise():
    with pytest.raises(ValueError, match="rise"):
        sample_trajectory([[0, 0], [1, 1], [2, 2]], [0, 2, 1], 5, 4)
    with pytest.raises(ValueError, match="3 points but 2 times"):
        sample_trajectory([[0, 0], [1, 1], [2, 2]], [0, 1], 5, 4)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-500, 500), st.floats(-500, 500)), min_size=2, max_size=8), st.integers(2, 81))
def test_steps_are_even_however_the_line_bends(points, num_frames):
    places = Trajectory(points=tuple(points)).sample(num_frames, 12)
    length = np.hypot(*np.diff(np.asarray(points), axis=0).T).sum()
    steps = np.hypot(*np.diff(places, axis=0).T)
    assert np.isfinite(places).all()
    # A step across a bend is shorter than its share of the way, never longer.
    assert (steps <= length / (num_frames - 1) + 1e-6).all()
    assert places[0].tolist() == pytest.approx(points[0]) and places[-1].tolist() == pytest.approx(points[-1])
