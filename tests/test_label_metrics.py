"""Metrics against values worked out by hand, and against what theory says of shifts."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.contract.rle import encode_mask
from eval.labels.cases import Case
from eval.labels.metrics.events import match_events
from eval.labels.metrics.masks import contour_accuracy, region_similarity, tube_iou
from eval.labels.metrics.tracks import track_scores
from eval.labels.metrics.transitions import Boundary, match_transitions
from eval.labels.summary import summarise
from eval.labels.sway import Sway
from eval.labels.truth import EventTruth, TransitionTruth
from eval.labels.tube import Tube, common_areas, cut_tube


def test_region_similarity_of_a_shifted_square_and_of_nothing():
    common, area, true_area = np.array([2000, 0, 0]), np.array([2500, 0, 9]), np.array([2500, 0, 0])
    assert region_similarity(common, area, true_area)[[0, 2]].tolist() == [pytest.approx(40 / 60), 0.0]
    assert np.isnan(region_similarity(common, area, true_area)[1])


def test_contours_may_be_off_by_0_8_percent_of_the_diagonal():
    # The diagonal of 300 x 400 is 500: four px.
    truth = _square(300, 400, 100, 100)
    assert contour_accuracy(truth, truth) == 1.0
    assert contour_accuracy(_square(300, 400, 100, 104), truth) == 1.0
    # Five px off, the left and right sides are lost, the upper and lower ones are not.
    moved = contour_accuracy(_square(300, 400, 100, 105), truth)
    brute = _brute_contour_accuracy(_square(300, 400, 100, 105), truth, 4)
    assert moved == pytest.approx(brute) and 0.5 < moved < 0.6
    assert contour_accuracy(truth, np.zeros_like(truth)) == 0.0
    assert contour_accuracy(np.zeros_like(truth), np.zeros_like(truth)) == 1.0


def test_contours_at_the_border_of_the_frame_are_no_contours():
    half = np.zeros((90, 120), bool)
    half[:, :60] = True
    # Only the inner side is a contour; a shift by more than two px (diagonal 150) loses all of it.
    shifted = np.zeros_like(half)
    shifted[:, :62] = True
    assert contour_accuracy(shifted, half) == 1.0
    shifted[:, :63] = True
    assert contour_accuracy(shifted, half) == 0.0


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_contour_accuracy_in_a_window_is_that_of_the_whole_frame(seed):
    rng = np.random.default_rng(seed)
    mask, truth = (cv2.blur(rng.random((60, 80)), (15, 15)) > 0.52 for _ in range(2))
    assert contour_accuracy(mask, truth) == pytest.approx(_brute_contour_accuracy(mask, truth, 1))


def _brute_contour_accuracy(mask, truth, radius):
    contours = []
    for shape in (mask, truth):
        inner = np.zeros(shape.shape, bool)
        inner[:-1] |= shape[:-1] != shape[1:]
        inner[:, :-1] |= shape[:, :-1] != shape[:, 1:]
        inner[:-1, :-1] |= shape[:-1, :-1] != shape[1:, 1:]
        contours.append(np.argwhere(inner))
    mine, theirs = contours
    if not len(mine) or not len(theirs):
        return float(len(mine) == len(theirs))
    near = ((mine[:, None] - theirs[None]) ** 2).sum(axis=2) <= radius**2
    precision, recall = near.any(axis=1).mean(), near.any(axis=0).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _square(height, width, y, x):
    mask = np.zeros((height, width), bool)
    mask[y : y + 50, x : x + 50] = True
    return mask


def test_tubes_share_what_their_pixels_share():
    rng = np.random.default_rng(0)
    pixels = [[_square(120, 160, *rng.integers(0, 60, 2)) for _ in range(3)] for _ in range(4)]
    tubes = [Tube(tuple(encode_mask(mask) for mask in masks), (120, 160)) for masks in pixels]
    tubes[1] = Tube((None, *tubes[1].masks[1:]), (120, 160))
    pixels[1][0] = np.zeros((120, 160), bool)
    assert [tube.areas.tolist() for tube in tubes] == [[int(m.sum()) for m in masks] for masks in pixels]
    common = common_areas(tubes[:2], tubes[2:], 3)
    for (i, j, frame), shared in np.ndenumerate(common):
        assert shared == np.count_nonzero(pixels[i][frame] & pixels[2 + j][frame])
    assert common_areas([], tubes, 3).shape == (0, 4, 3)
    part = cut_tube(tubes[0].masks, 10, 9, 12, (120, 160))
    assert part.masks == (None, *tubes[0].masks[:2]) and not part.pixels(0).any()


def test_tube_iou_adds_up_over_time():
    assert tube_iou(np.array([8, 0]), np.array([8, 0]), np.array([8, 8])) == 0.5
    assert tube_iou(np.array([0]), np.array([0]), np.array([0])) == 0.0


def test_perfect_tracks_score_one_and_shifted_ones_as_tap_vid_says():
    points = np.random.default_rng(0).uniform(20, 200, (10, 5, 2))
    visible, queries = np.ones((10, 5), bool), np.zeros(5, int)
    perfect = track_scores(points, visible, points, visible, queries, (256, 256))
    assert (perfect.delta_avg, perfect.average_jaccard, perfect.occlusion_accuracy) == (1, 1, 1)
    # Three px off are within 4, 8 and 16 of the five thresholds.
    off = track_scores(points + np.array([3, 0]), visible, points, visible, queries, (256, 256))
    assert off.delta_avg == pytest.approx(3 / 5) and off.average_jaccard == pytest.approx(3 / 5)
    # With two of four points 3 px off, thresholds 1 and 2 have 2 hits, 2 false positives and 2 misses: 2 / 6 each. The
    # query frame does not count.
    half = points + np.where(np.arange(5) < 2, 3, 0)[None, :, None] * np.array([1, 0])
    four = track_scores(half[:, :4], visible[:, :4], points[:, :4], visible[:, :4], queries[:4], (256, 256))
    assert four.average_jaccard == pytest.approx((2 * 2 / 6 + 3) / 5)
    assert four.delta_avg == pytest.approx((2 * 0.5 + 3) / 5)
    # One of nine evaluated frames wrongly said to be hidden, or to be visible: eight hits and one miss, or false one.
    said = visible.copy()
    said[3] = False
    assert track_scores(points, said, points, visible, queries, (256, 256)).average_jaccard == pytest.approx(8 / 9)
    assert track_scores(points, visible, points, said, queries, (256, 256)).average_jaccard == pytest.approx(8 / 9)
    assert track_scores(points, visible, points, said, queries, (256, 256)).occlusion_accuracy == pytest.approx(8 / 9)
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
    assert match_events([right], truth, {"a": "car"}, {"car"}, 5) == [(right, truth[0])]
    for wrong in ({"frame": 56}, {"side": "right"}, {"type": "enter"}, {"object_id": "b"}):
        event = right | wrong
        assert match_events([event], truth, {"a": "car"}, {"car"}, 5) == [(event, None), (None, truth[0])]
    assert match_events([right | {"frame": 58}], truth, {}, set(), 8)[0][1] is truth[0]  # labelled by hand, no masks


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
    # What is found in a file where not everything is labelled says nothing of precision.
    some = [*cases, Case("object", "c", outcome="right", exhaustive=False)]
    more = {line.measure.name: line.mean for line in summarise([some])}
    assert more["moving objects: recall"] == 0.8 and more["moving objects: precision"] == 0.6
    masks = lines["masks: J over the clip"]
    assert masks.values == (0.75, 0.9) and masks.mean == pytest.approx(0.825) and masks.passed
    assert masks.spread == pytest.approx(0.15)
