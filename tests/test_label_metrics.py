"""Metrics against values worked out by hand, and against what theory says of shifts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.labels.cases import Case
from eval.labels.metrics.events import match_events
from eval.labels.metrics.masks import contour_accuracy, region_similarity, tube_iou
from eval.labels.metrics.tracks import track_scores
from eval.labels.metrics.transitions import Boundary, match_transitions
from eval.labels.summary import summarise
from eval.labels.sway import Sway
from eval.labels.truth import EventTruth, TransitionTruth


def test_region_and_contour_of_a_shifted_square():
    truth, shifted = np.zeros((2, 200, 200), bool)
    truth[50:100, 50:100] = True
    shifted[50:100, 60:110] = True
    assert region_similarity(truth, shifted) == pytest.approx(40 / 60)
    assert contour_accuracy(truth, truth) == 1.0
    assert 0.3 < contour_accuracy(truth, shifted) < 0.8  # the two long sides are off, most of the others not
    assert contour_accuracy(truth, np.zeros_like(truth)) == 0.0
    assert region_similarity(np.zeros((4, 4), bool), np.zeros((4, 4), bool)) == 1.0


def test_tube_iou_adds_up_over_time():
    a, b = np.zeros((2, 4, 4), bool), np.zeros((2, 4, 4), bool)
    a[0, :2], b[:, :2] = True, True
    assert tube_iou(a, b) == 0.5


def test_perfect_tracks_score_one_and_shifted_ones_as_tap_vid_says():
    points = np.random.default_rng(0).uniform(20, 200, (10, 5, 2))
    visible, queries = np.ones((10, 5), bool), np.zeros(5, int)
    perfect = track_scores(points, visible, points, visible, queries, (256, 256))
    assert (perfect.delta_avg, perfect.average_jaccard, perfect.occlusion_accuracy) == (1, 1, 1)
    # Three px off are within 4, 8 and 16 of the five thresholds; a hit lost is a false positive and a miss at once.
    off = track_scores(points + np.array([3, 0]), visible, points, visible, queries, (256, 256))
    assert off.delta_avg == pytest.approx(3 / 5) and off.average_jaccard == pytest.approx(3 / 5)
    hidden = track_scores(points, ~visible, points, visible, queries, (256, 256))
    assert hidden.average_jaccard == 0 and hidden.occlusion_accuracy == 0 and hidden.delta_avg == 1
    # Distances are measured at 256 px: three px of a frame twice as large are one and a half.
    large = track_scores(points + np.array([3, 0]), visible, points, visible, queries, (512, 512))
    assert large.delta_avg == pytest.approx(4 / 5)


def test_transitions_pair_within_two_frames_and_only_once():
    truth = [TransitionTruth("cut", 30, 30), TransitionTruth("dissolve", 60, 75)]
    found = [Boundary(32, "cut"), Boundary(31, "cut"), Boundary(78, "gradual"), Boundary(120, "cut")]
    pairs = match_transitions(found, truth)
    assert (Boundary(31, "cut"), truth[0]) in pairs and (Boundary(78, "gradual"), truth[1]) in pairs
    assert (Boundary(32, "cut"), None) in pairs and (Boundary(120, "cut"), None) in pairs
    assert match_transitions([Boundary(33, "cut")], truth[:1]) == [(Boundary(33, "cut"), None), (None, truth[0])]


def test_events_need_type_side_object_and_time():
    truth = [EventTruth("car", "exit", "left", 50, 44, 50)]
    right = {"object_id": "a", "type": "exit", "side": "left", "frame": 55}
    assert match_events([right], truth, {"a": "car"}, {"car"}) == [(right, truth[0])]
    for wrong in ({"frame": 56}, {"side": "right"}, {"type": "enter"}, {"object_id": "b"}):
        event = right | wrong
        assert match_events([event], truth, {"a": "car"}, {"car"}) == [(event, None), (None, truth[0])]
    assert match_events([right | {"frame": 58}], truth, {}, set())[0][1] is truth[0]  # labelled by hand, no masks


@given(st.integers(0, 2**32 - 1))
def test_bending_is_undone_exactly(seed):
    rng = np.random.default_rng(seed)
    sway = Sway(*rng.uniform(-9, 9, 2), *rng.uniform(0, 0.1, 2), period=float(rng.uniform(5, 50)), phase=1.0)
    points, time = rng.uniform(-60, 60, (20, 2)), float(rng.uniform(0, 90))
    assert np.abs(sway.unbend(sway.bend(points, time), time) - points).max() < 1e-9


def test_numbers_are_computed_from_cases():
    cases = [Case("object", "a", outcome="right")] * 3 + [Case("object", "a", outcome="missed")]
    cases += [Case("object", "b", outcome="false")] * 2 + [Case("mask_j", "a", 0.5), Case("mask_j", "a", 1.0)]
    lines = {line.measure.name: line for line in summarise([cases, [Case("mask_j", "c", 0.9)]])}
    assert lines["moving objects: recall"].values[0] == 0.75
    assert lines["moving objects: precision"].values[0] == 0.6
    assert np.isnan(lines["moving objects: recall"].values[1])
    masks = lines["masks: J over the clip"]
    assert masks.values == (0.75, 0.9) and masks.mean == pytest.approx(0.825) and masks.passed
    assert masks.spread == pytest.approx(0.15)
