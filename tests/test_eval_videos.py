"""Videos with known faults through the embedded backends: each measure moves as theory says."""

import numpy as np
import pytest

from eval.backends import build_backends
from eval.config import EvalConfig
from eval.metrics.frechet import frechet_distance
from eval.metrics.region import region_scale
from eval.pair import VideoPair
from eval.schemas import FEATURES, SCHEMAS, SCORES
from eval.score import score_pair

FRAMES = 30
BOX_IN = (160, 20, 310, 170)  # the person walks into it from the left
BOX_OUT = (60, 20, 220, 170)  # and out of it by the right
PERFECT = {
    "trajectory_error": 0,
    "motion_roughness": 0,
    "vseg_mae_pixels": 0,
    "vseg_mae_count": 0,
    "identity_gap": 0,
    "identity_lowest_gap": 0,
    "identity_fade": 0,
    "event_accuracy": 1,
    "event_side_right": 1,
    "event_frame_error": 0,
    "camera_drift": 0,
    "seam_visibility": 0,
    "psnr": np.inf,
    "ssim": 1,
    "perceptual_distance": 0,
}


@pytest.fixture(scope="module")
def walker(scene):
    """A person who walks to the right at an even pace, filmed from a tripod."""
    return scene("exits_right", frames=48)


@pytest.fixture(scope="module")
def score(walker):
    """`score(frames, kind)`: the row of a generated video, and its features by metric."""
    config = EvalConfig()
    backends = build_backends(config)
    who = walker.objects[0]
    mask, track = walker.masks[who][0], walker.tracks[who]
    truth = walker.frames[:FRAMES]
    x = np.flatnonzero(mask.any(axis=0))
    y = np.flatnonzero(mask.any(axis=1))
    part = slice(y[0], y[-1] + 1), slice(x[0], x[-1] + 1)
    identity = np.dstack([truth[0][part], mask[part] * np.uint8(255)])
    made = {}

    def get(generated, kind="frame_in", box=None):
        key = (generated.tobytes(), kind, box)
        if key not in made:
            pair = VideoPair(
                sample_id="walker",
                kind=kind,
                label="person",
                truth=truth,
                generated=generated,
                fps=24.0,
                spacing=1.0,
                region_box=box or (BOX_IN if kind == "frame_in" else BOX_OUT),
                query_frame=0,
                points=track.points[0][track.visibility[0]].astype(np.float32),
                mask=mask,
                identity=identity if kind == "frame_in" else None,
            )
            rows = score_pair(pair, backends, config.comparison)
            made[key] = rows[SCORES][0], {row["metric"]: row for row in rows[FEATURES]}
        return made[key]

    return get


def truth_of(walker):
    return walker.frames[:FRAMES].copy()


def speed_of(walker):
    """px per frame, of the middle of its points."""
    points = walker.tracks[walker.objects[0]].points[:FRAMES]
    return (points[-1] - points[0]).mean(axis=0) / (FRAMES - 1)


@pytest.mark.parametrize("kind", ["frame_in", "frame_out"])
def test_the_truth_is_perfect(walker, score, kind):
    row, features = score(truth_of(walker), kind)
    for name, value in PERFECT.items():
        assert row[name] == pytest.approx(value, abs=1e-9), name
    if kind == "frame_in":
        assert row["relative_similarity"] == 0 and (row["true_event_side"], row["label"]) == ("left", "person")
    else:
        assert "relative_similarity" not in row and row["true_event_side"] == "right"
    assert np.array_equal(features["fid"]["values"], features["fid"]["true_values"])
    assert np.array_equal(features["fvd"]["values"], features["fvd"]["true_values"])
    assert row.keys() <= set(SCHEMAS[SCORES].names)


def test_shifted_by_known_pixels(walker, score):
    """Everything but the first frame lies 8 px lower: tracks and camera follow by the scaled shift."""
    frames = truth_of(walker)
    frames[1:] = np.pad(frames[1:], ((0, 0), (8, 0), (0, 0), (0, 0)), mode="edge")[:, :-8]
    row, _ = score(frames)
    scale = region_scale(BOX_IN, (256, 384))
    wanted = 8 * scale.down * (FRAMES - 1) / FRAMES
    assert row["trajectory_error"] == pytest.approx(wanted, rel=0.1)
    assert row["camera_drift"] == pytest.approx(wanted, rel=0.1)
    assert row["event_accuracy"] == 1  # it still comes in by the left, in time
    assert row["psnr"] < 35 and row["ssim"] < 0.9


def test_delayed_by_known_frames(walker, score):
    """It waits for 5 frames: an error of speed times 5, and an entry 5 frames late."""
    late = 5
    frames = truth_of(walker)[np.maximum(0, np.arange(FRAMES) - late)]
    row, _ = score(frames)
    scale = region_scale(BOX_IN, (256, 384))
    away = np.minimum(np.arange(FRAMES), late).mean()
    assert row["trajectory_error"] == pytest.approx(away * np.hypot(*(speed_of(walker) * scale)), rel=0.1)
    assert row["event_side_right"] == 1 and row["event_frame_error"] == pytest.approx(late, abs=1)
    assert row["camera_drift"] == pytest.approx(0, abs=0.5)
    assert abs(row["identity_gap"]) < 0.05


def test_frozen(walker, score):
    """Each point is off by how far the truth has gone; nothing comes in; it is smoother than the truth."""
    row, features = score(np.repeat(truth_of(walker)[:1], FRAMES, axis=0))
    scale = region_scale(BOX_IN, (256, 384))
    wanted = np.hypot(*(speed_of(walker) * scale)) * np.arange(FRAMES).mean()
    assert row["trajectory_error"] == pytest.approx(wanted, rel=0.1)
    assert (row["event_accuracy"], row["event_side_right"]) == (0, 0) and row.get("event_frame_error") is None
    assert row["motion_roughness"] < 0 and row["camera_drift"] == pytest.approx(0, abs=0.5)
    moving = features["fvd"]["true_values"][96:], features["fvd"]["values"][96:]  # shares of pixels that move
    assert moving[0].sum() > 0 and moving[1].sum() == 0


def test_mirrored(walker, score):
    """The object is not where it is looked for, and what is seen never enters by the left."""
    row, features = score(np.ascontiguousarray(truth_of(walker)[:, :, ::-1]))
    assert row["event_accuracy"] == 0
    assert row["trajectory_error"] > 20 and row["vseg_mae_pixels"] > 0.01
    assert row["psnr"] < 25
    # Shares of pixels by speed and direction, eight directions from right by down to left by up.
    own, truth = (features["fvd"][name][96:].reshape(-1, 8) ** 2 for name in ("values", "true_values"))
    assert own[:, [3, 4]].sum() > 2 * own[:, [7, 0]].sum() and truth[:, [7, 0]].sum() > 2 * truth[:, [3, 4]].sum()


def test_noise(walker, score):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, truth_of(walker).shape).astype(np.uint8)
    row, features = score(frames)
    assert row["event_accuracy"] == 0 and row["camera_drift"] is None  # noise has no camera
    assert row["identity_gap"] > 0.1
    # Of independent uniform noise: E (n - t)^2 = var(n) + (mean(n) - t)^2. Enlarging the region by linear
    # interpolation leaves 2/3 of the variance along each axis.
    x0, y0, x1, y1 = BOX_IN
    inside = truth_of(walker)[:, y0:y1, x0:x1].astype(np.float64)
    expected = 10 * np.log10(255**2 / (256**2 / 12 * 4 / 9 + ((127.5 - inside) ** 2).mean()))
    assert row["psnr"] == pytest.approx(expected, abs=0.2)
    assert row["ssim"] < 0.1 and row["perceptual_distance"] > 0.1
    _, frozen = score(np.repeat(truth_of(walker)[:1], FRAMES, axis=0))
    far, near = (
        frechet_distance(*(np.reshape(part["fid"][name], (-1, 96)) for name in ("values", "true_values")))
        for part in (features, frozen)
    )
    assert far > 5 * near


def test_a_seam_shows_as_its_height(walker, score):
    frames = truth_of(walker).astype(int) + 20
    x0, y0, x1, y1 = BOX_IN
    frames[:, y0:y1, x0:x1] -= 20
    row, _ = score(np.clip(frames, 0, 255).astype(np.uint8))
    assert row["seam_visibility"] == pytest.approx(20, rel=0.2)


def test_events_notice_what_trajectory_error_misses(walker, score):
    """It stops a step before the box that it enters at the very end: hardly off its track, and never in."""
    frames = truth_of(walker)
    right_edges = [np.flatnonzero(mask.any(axis=0))[-1] for mask in walker.masks[walker.objects[0]][:FRAMES]]
    enters = FRAMES - 5
    box = (int(right_edges[enters]) - 2, 20, 318, 170)
    held = frames[np.minimum(np.arange(FRAMES), enters - 2)]
    truth, _ = score(frames, "frame_in", box)
    row, _ = score(held, "frame_in", box)
    assert truth["event_accuracy"] == 1
    walked = np.hypot(*(speed_of(walker) * region_scale(box, (256, 384)))) * (FRAMES - 1)
    assert row["trajectory_error"] < 0.05 * walked
    assert row["event_accuracy"] == 0 and row["event_side_right"] == 0
