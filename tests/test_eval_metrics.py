"""Every metric against an independent recomputation, and against what theory says."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
from torchmetrics.image.fid import FrechetInceptionDistance

from curation.models.objects.stabilise import CameraPath
from eval.alignment import align
from eval.bootstrap import mean_interval, pivotal_interval
from eval.metrics.camera_drift import camera_drift
from eval.metrics.event_accuracy import event_score, region_crossing
from eval.metrics.frechet import frechet_distance
from eval.metrics.identity_over_time import identity_over_time
from eval.metrics.motion_smoothness import acceleration, motion_roughness
from eval.metrics.psnr import psnr
from eval.metrics.region import RegionScale, region_masks, region_pictures, region_scale
from eval.metrics.relative_similarity import reference_similarity, relative_similarity
from eval.metrics.seam_visibility import seam_visibility
from eval.metrics.ssim import ssim
from eval.metrics.trajectory_error import trajectory_error
from eval.metrics.vlm_success import VlmScore, parse_answer
from eval.metrics.vseg_mae import vseg_mae_count, vseg_mae_pixels

REGION = (256, 384)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


# The published ones, recomputed plainly


def test_trajectory_error_is_the_plain_mean_in_scaled_px(rng):
    """The canvas is scaled so that the box is 256 x 384; distances are taken there."""
    box = (100, 60, 420, 240)
    points, truth = rng.uniform(-50, 600, (2, 9, 5, 2))
    scale_w, scale_h = 384 / 320, 256 / 180
    by_frame = []
    for frame in range(9):
        distances = []
        for point in range(5):
            x1, y1 = points[frame, point, 0] * scale_w, points[frame, point, 1] * scale_h
            x2, y2 = truth[frame, point, 0] * scale_w, truth[frame, point, 1] * scale_h
            distances.append(math.sqrt((x2 - x1) ** 2 + (y2 - y1) ** 2))
        by_frame.append(sum(distances) / len(distances))
    errors = trajectory_error(points, truth, region_scale(box, REGION))
    assert errors == pytest.approx(by_frame, abs=1e-6)
    assert errors.mean() == pytest.approx(sum(by_frame) / 9, abs=1e-6)
    with pytest.raises(ValueError, match="no points"):
        trajectory_error(points[:, :0], truth[:, :0], RegionScale(1, 1))
    with pytest.raises(ValueError, match="no pixel"):
        region_scale((10, 10, 10, 20), REGION)


def test_vseg_is_the_plain_count_and_the_plain_difference(rng):
    """On random masks, at 256 x 384, for boxes that grow and boxes that shrink."""
    for box in ((40, 20, 200, 150), (0, 0, 640, 448), (13, 7, 14 + 384, 7 + 256)):
        masks, truth = rng.random((2, 3, 448, 640)) < 0.3
        x0, y0, x1, y1 = box
        counts, pixels = [], []
        for frame in range(3):
            scaled = []
            for mask in (masks[frame], truth[frame]):
                region = np.zeros(REGION, bool)
                for row in range(256):
                    for column in range(384):
                        y = y0 + math.floor((row + 0.5) * (y1 - y0) / 256)
                        x = x0 + math.floor((column + 0.5) * (x1 - x0) / 384)
                        region[row, column] = mask[y, x]
                scaled.append(region)
            counts.append(abs(int(scaled[0].sum()) - int(scaled[1].sum())) / (256 * 384))
            pixels.append(int((scaled[0] != scaled[1]).sum()) / (256 * 384))
        own, true = region_masks(masks, box, REGION), region_masks(truth, box, REGION)
        assert vseg_mae_count(own, true) == pytest.approx(counts, abs=1e-6)
        assert vseg_mae_pixels(own, true) == pytest.approx(pixels, abs=1e-6)


def test_relative_similarity_is_the_plain_ratio(rng):
    frames, true_frames = rng.normal(size=(2, 12, 30)).astype(np.float32)
    reference = rng.normal(size=30).astype(np.float32)

    def mean_cosine(features):
        total = 0.0
        for row in features:
            dot = sum(float(a) * float(b) for a, b in zip(row, reference, strict=True))
            lengths = math.sqrt(sum(float(a) ** 2 for a in row)) * math.sqrt(sum(float(b) ** 2 for b in reference))
            total += max(0.0, dot / lengths)
        return total / len(features)

    own, truth = mean_cosine(frames), mean_cosine(true_frames)
    found = relative_similarity(reference_similarity(frames, reference), reference_similarity(true_frames, reference))
    assert found == pytest.approx(abs(own - truth) / truth, abs=1e-6)
    assert relative_similarity(np.ones(3), np.zeros(3)) is None
    assert reference_similarity(np.zeros((2, 4)), np.ones(4)).tolist() == [0, 0]


# Shifts, delays, mirrors: what each form notices


def test_a_shift_moves_the_trajectory_error_by_its_scaled_length(rng):
    truth = rng.uniform(0, 400, (20, 6, 2))
    scale = RegionScale(1.2, 0.8)
    assert trajectory_error(truth, truth, scale).max() == 0
    assert trajectory_error(truth + np.array([5, -3]), truth, scale) == pytest.approx(math.hypot(5 * 1.2, 3 * 0.8))


def test_a_delay_costs_speed_times_delay():
    frames = np.arange(40.0)
    truth = np.stack([3 * frames, np.full(40, 50.0)], axis=1)[:, None]
    late = truth[np.maximum(0, np.arange(40) - 4)]
    errors = trajectory_error(late, truth, RegionScale(2.0, 1.0))
    assert errors[4:] == pytest.approx(3 * 4 * 2.0)
    assert errors[:4] == pytest.approx([0, 6, 12, 18])


def test_only_the_pixel_form_notices_a_mask_elsewhere():
    truth = np.zeros((4, 256, 384), bool)
    truth[:, 100:150, 40:100] = True
    mirrored = truth[:, :, ::-1]
    assert vseg_mae_count(mirrored, truth).max() == 0
    assert vseg_mae_pixels(mirrored, truth) == pytest.approx(2 * 50 * 60 / (256 * 384))
    gone = np.zeros_like(truth)
    assert vseg_mae_count(gone, truth) == pytest.approx(50 * 60 / (256 * 384))
    assert vseg_mae_pixels(gone, truth) == pytest.approx(50 * 60 / (256 * 384))


def moving_square(start, speed, frames=30, size=(200, 320), side=30):
    """bool [T, H, W]: a square whose left edge is at start + speed * t."""
    masks = np.zeros((frames, *size), bool)
    for frame in range(frames):
        left = round(start + speed * frame)
        masks[frame, 80 : 80 + side, max(0, left) : max(0, left + side)] = True
    return masks


BOX = (120, 40, 300, 180)


def test_events_are_found_at_their_side_and_frame():
    truth = region_crossing(moving_square(20, 4), BOX, "frame_in", 12)
    assert truth is not None and (truth.type, truth.side) == ("enter", "left")
    assert abs(truth.frame - (120 - 50) / 4) <= 1  # its right edge is at 50 + 4 t
    late = region_crossing(moving_square(20, 4)[np.maximum(0, np.arange(30) - 6)], BOX, "frame_in", 12)
    score = event_score(late, truth)
    assert score is not None and score.side_right and score.frame_error == 6
    assert score.within(6) and not score.within(5)

    # Out by the left again; and mirrored, by the right.
    box = (120, 40, 300, 180)
    out = region_crossing(moving_square(180, -4), box, "frame_out", 12)
    assert out is not None and (out.type, out.side) == ("exit", "left")
    assert abs(out.frame - (180 + 30 - 120) / 4) <= 1
    flipped = region_crossing(moving_square(180, -4)[:, :, ::-1], (20, 40, 200, 180), "frame_out", 12)
    mirrored = event_score(flipped, out)
    assert mirrored is not None and not mirrored.side_right and mirrored.frame_error == 0 and not mirrored.within(5)

    frozen = event_score(region_crossing(moving_square(20, 0), BOX, "frame_in", 12), truth)
    assert frozen == (False, None) and not frozen.within(99)
    assert event_score(truth, None) is None


def test_event_accuracy_notices_what_trajectory_error_misses():
    """An object that stops 3 px before the box is never further off its track than a few px, but never comes in."""
    truth = np.minimum(moving_positions(10, 4), 86)
    short = np.minimum(truth, 81)
    assert np.abs(truth - short).mean() < 4
    masks, true_masks = squares_at(short), squares_at(truth)
    found = region_crossing(true_masks, BOX, "frame_in", 12)
    score = event_score(region_crossing(masks, BOX, "frame_in", 12), found)
    assert found is not None and score == (False, None)


def moving_positions(start, speed, frames=30):
    return start + speed * np.arange(frames)


def squares_at(lefts):
    return np.concatenate([moving_square(left, 0, frames=1, side=38) for left in lefts])


def test_whole_canvas_as_region_box():
    masks = moving_square(-60, 6)
    crossing = region_crossing(masks, (0, 0, 320, 200), "frame_in", 12)
    assert crossing is not None and crossing.side == "left"


# Ours


def test_identity_over_time_tells_fading_from_being_absent():
    steady = np.full(30, 0.9)
    assert identity_over_time(steady, steady) == (0, 0, 0)
    fading = np.linspace(0.9, 0.6, 30)
    scores = identity_over_time(fading, steady)
    assert scores is not None
    assert scores.gap == pytest.approx(0.15) and scores.lowest_gap == pytest.approx(0.3)
    assert scores.fade == pytest.approx(fading[:10].mean() - fading[-10:].mean())
    assert identity_over_time(np.full(30, np.nan), steady) == pytest.approx((0.9, 0.9, 0))
    assert identity_over_time(steady, np.full(30, np.nan)) is None
    partly = np.where(np.arange(30) < 10, np.nan, 0.9)
    assert identity_over_time(partly, steady) == pytest.approx((0, 0, 0))


def path_of(poses, reliable=None):
    poses = np.asarray(poses, np.float64)
    return CameraPath(poses, np.ones(len(poses), bool) if reliable is None else reliable, False)


def test_camera_drift_of_a_pan_is_its_way():
    still = path_of(np.tile(np.eye(3), (10, 1, 1)))
    pan = np.tile(np.eye(3), (10, 1, 1))
    pan[:, 0, 2] = -2.0 * np.arange(10)  # the scene slides right by 2 px a frame
    scale = RegionScale(1.5, 1.0)
    drift = camera_drift(path_of(pan), still, (200, 320), scale)
    assert drift == pytest.approx(3.0 * np.arange(10))
    assert camera_drift(path_of(pan), path_of(pan), (200, 320), scale) == pytest.approx(np.zeros(10))
    lost = path_of(pan, np.arange(10) < 4)
    assert camera_drift(lost, still, (200, 320), scale) is None


def test_seam_is_the_step_at_the_border(rng):
    even = np.full((3, 100, 160), 90.0)
    box = (40, 0, 160, 70)  # two of its sides lie on the canvas's border
    assert seam_visibility(even, box) == pytest.approx(np.zeros(3))
    brighter = even + 17
    brighter[:, 0:70, 40:160] = 90
    assert seam_visibility(brighter, box) == pytest.approx(17)
    textured = rng.uniform(0, 255, (3, 400, 600))
    assert np.abs(seam_visibility(textured, (100, 100, 500, 300))).max() < 6  # texture everywhere is no seam
    assert seam_visibility(even, (0, 0, 160, 100)) is None


def test_smoothness_measures_acceleration_where_points_are_seen():
    time = np.arange(20.0)
    even = np.stack([2 * time, 3 * time], axis=1)[:, None]
    seen = np.ones((20, 1), bool)
    one = RegionScale(1, 1)
    assert acceleration(even, seen, one) == pytest.approx(0, abs=1e-12)
    jitter = even + np.stack([1.5 * (-1.0) ** time, 0 * time], axis=1)[:, None]
    assert acceleration(jitter, seen, one) == pytest.approx(4 * 1.5)  # second difference of +-a is 4 a
    assert acceleration(jitter, seen, RegionScale(2, 1)) == pytest.approx(8 * 1.5)
    falling = np.stack([0 * time, 0.5 * 0.8 * time**2], axis=1)[:, None]
    assert acceleration(falling, seen, one) == pytest.approx(0.8)
    assert motion_roughness(acceleration(even * 0, seen, one), 0.8) == pytest.approx(-0.8)  # frozen: smoother than real
    seen[:] = np.arange(20)[:, None] % 3 != 0
    assert acceleration(falling, seen, one) is None and motion_roughness(None, 0.8) is None


# Standard ones


def test_psnr_and_ssim_agree_with_torchmetrics(rng):
    truth = rng.integers(0, 256, (3, 64, 96, 3)).astype(np.uint8)
    noisy = np.clip(truth + rng.normal(0, 20, truth.shape), 0, 255).astype(np.uint8)
    planes, true_planes = (torch.from_numpy(part).permute(0, 3, 1, 2).double() for part in (noisy, truth))
    wanted = peak_signal_noise_ratio(planes, true_planes, data_range=255.0)
    assert psnr(noisy, truth) == pytest.approx(float(wanted), abs=1e-6)
    wanted = structural_similarity_index_measure(planes, true_planes, data_range=255.0, reduction="none")
    assert ssim(noisy, truth) == pytest.approx(wanted.numpy(), abs=2e-3)
    assert psnr(truth, truth) == math.inf and ssim(truth, truth) == pytest.approx(1)
    shifted = np.clip(truth.astype(int) // 2 + 10, 0, 255).astype(np.uint8)
    assert psnr(shifted, truth // 2) == pytest.approx(10 * math.log10(255**2 / 100))


class MeanColours(torch.nn.Module):
    """A feature module for FID: a picture's mean colour in each of six places."""

    num_features = 18

    def forward(self, pictures):
        return torch.nn.functional.adaptive_avg_pool2d(pictures.double() / 255, (2, 3)).flatten(1)


def test_fid_is_torchmetrics_with_the_same_feature_module(rng):
    truth = rng.integers(0, 256, (60, 3, 24, 36), dtype=np.uint8)
    own = (rng.integers(0, 200, (50, 3, 24, 36)) + 20).astype(np.uint8)
    module = MeanColours()
    metric = FrechetInceptionDistance(feature=module).set_dtype(torch.float64)
    metric.update(torch.from_numpy(truth), real=True)
    metric.update(torch.from_numpy(own), real=False)
    wanted = float(metric.compute())
    features, true_features = (module(torch.from_numpy(part)).numpy() for part in (own, truth))
    assert frechet_distance(features, true_features) == pytest.approx(wanted, rel=1e-6, abs=1e-9)
    assert frechet_distance(true_features, true_features) == pytest.approx(0, abs=1e-12)


def with_moments(rng, rows, mean, deviations):
    """[rows, D] whose sample mean and unbiased covariance are exactly these."""
    raw = rng.normal(size=(rows, len(mean)))
    centred = raw - raw.mean(axis=0)
    orthonormal, _ = np.linalg.qr(centred)
    return orthonormal * np.sqrt(rows - 1) * deviations + mean


def test_fvd_is_the_closed_form_on_gaussians(rng):
    """|m1 - m2|^2 + sum (s1 - s2)^2 for covariances with the same axes."""
    for rows, dimensions in ((400, 12), (9, 6)):
        mean, other = rng.normal(size=(2, dimensions))
        spread, wider = rng.uniform(0.5, 3, (2, dimensions))
        own = with_moments(rng, rows, mean, spread)
        truth = with_moments(rng, rows + 1, other, wider)
        wanted = ((mean - other) ** 2).sum() + ((spread - wider) ** 2).sum()
        assert frechet_distance(own, truth) == pytest.approx(wanted, rel=1e-9)
    # Fewer videos than features: shifted copies are as far apart as the shift.
    few = rng.normal(size=(5, 40))
    assert frechet_distance(few + 0.5, few) == pytest.approx(40 * 0.25)
    with pytest.raises(ValueError, match="two rows"):
        frechet_distance(few[:1], few)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("Yes", "yes"),
        ("no.", "no"),
        (' "Yes, it does."', "yes"),
        ("**No**", "no"),
        ("<think>Is it yes?</think>\nNo", "no"),
        ("The object enters.", "unparsable"),
        ("", "unparsable"),
        ("nothing", "unparsable"),
    ],
)
def test_answers_are_read_or_counted(reply, answer):
    assert parse_answer(reply) == answer


def test_vlm_success_counts_what_cannot_be_read():
    assert VlmScore("yes", "yes").success and not VlmScore("yes", "no").success
    broken = VlmScore("unparsable", "unparsable")
    assert not broken.success and broken.unparsable


# What is compared, and how sure a mean is


def test_frames_are_compared_at_the_same_moments():
    whole = align(98, 49, 2.0, 49)
    assert whole.truth == list(range(0, 97, 2)) and whole.generated == list(range(49)) and whole.spacing == 1
    spread = align(98, 49, 2.0, 14)
    assert len(spread.truth) == 14 and spread.generated[-1] == 48 and spread.truth == [2 * i for i in spread.generated]
    assert spread.spacing == pytest.approx(48 / 13)
    longer = align(20, 49, 2.0, 49)  # the truth ends first
    assert longer.truth[-1] < 20 and len(longer.truth) == 10
    unknown = align(49, 25, None, 49)  # another tool's video, of unknown rate
    assert unknown.truth[-1] == 48 and unknown.generated == list(range(25))


def test_pictures_of_the_region(rng):
    frames = rng.integers(0, 256, (2, 40, 60, 3)).astype(np.uint8)
    assert np.array_equal(region_pictures(frames, (10, 5, 40, 25), (20, 30)), frames[:, 5:25, 10:40])


def test_intervals_cover_the_mean_about_as_often_as_they_say(rng):
    hits = 0
    for trial in range(200):
        values = rng.normal(3.0, 1.0, 40)
        low, high = mean_interval(values, trial)
        hits += low <= 3.0 <= high
    assert 0.88 <= hits / 200 <= 0.99
    assert all(np.isnan(mean_interval(values[:1], 0)))
    assert mean_interval(values, 0) == mean_interval(values, 0)
    assert mean_interval(np.full(9, np.inf), 0) == (np.inf, np.inf)


def test_frechet_intervals_take_the_bias_of_resampling_off(rng):
    """A resample repeats videos, so its distance is too large; the interval must still reach below the value."""
    own, truth = rng.normal(size=(2, 30, 4))
    value = frechet_distance(own, truth)

    def distance(videos):
        return frechet_distance(own[videos], truth[videos])

    resampled = np.median([distance(rng.integers(30, size=30)) for _ in range(100)])
    low, high = pivotal_interval(distance, 30, value, 0)
    assert resampled > value and low < value and (low + high) / 2 < value
    assert all(np.isnan(pivotal_interval(lambda videos: 0.0, 7, 0.0, 0)))
