"""Camera motion: the features backend against rendered truth, the label, and the stage that writes both."""

from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.contract.tables import records, table
from curation.models.camera.features import FeatureCamera, flatten_light
from curation.models.camera.protocol import CameraStep
from curation.stages.camera import CameraConfig, CameraMotion, camera_label, summarise
from curation.video.media import DecodedFrame, VideoHeader

STILL = ["still", "still_noise", "still_objects", "static_cross_left_right", "two_cross_occlude", "three_objects"]
MOVING = ["pan", "tilt", "zoom", "roll", "pan_follow"]
HANDHELD = ["still_shaky", "handheld_cross"]


def header(clip, fps=None):
    return VideoHeader("v", "/v.mp4", clip.width, clip.height, fps or clip.fps, clip.length, Fraction(1), 0, "h264")


def decoded(clip):
    """The clip's frames as the decoder would hand them on."""
    for index, frame in enumerate(clip.frames):

        def render(width, height, luma, frame=frame):
            small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
            return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) if luma else small

        yield DecodedFrame(index, index / float(clip.fps), index == 0, clip.width, clip.height, render)


def measure(clip, spans=None, config=None):
    """The clips rows that the stage writes for `spans` of a rendered clip."""
    rows = [
        {"clip_id": f"v_{a}-{b}", "video_id": "v", "start_frame": a, "end_frame": b}
        for a, b in spans or [(0, clip.length)]
    ]
    observer = CameraMotion(config).start(header(clip))
    for frame in decoded(clip):
        observer.observe(frame)
    return records(observer.finish({"clips": table("clips", rows)})["clips"])


@pytest.mark.parametrize("name", STILL)
def test_tripod_measures_nothing(scene, name):
    clip = measure(scene(name, frames=60))[0]
    assert clip["camera_label"] == "static"
    assert clip["camera_translation"] < 1e-4
    assert clip["camera_rotation_deg"] < 0.01
    assert clip["camera_focal"] < 1e-4


@pytest.mark.parametrize(("name", "label"), [(n, "moving") for n in MOVING] + [(n, "handheld") for n in HANDHELD])
def test_label_of_moving_cameras(scene, name, label):
    assert measure(scene(name, frames=60))[0]["camera_label"] == label


@pytest.mark.parametrize("changes", [{"flicker": 0.04}, {"noise": 6.0}, {"seed": 3, "background": "ground"}])
@pytest.mark.parametrize(
    ("name", "label"), [("three_objects", "static"), ("still_shaky", "handheld"), ("pan", "moving")]
)
def test_label_survives_flicker_noise_and_plain_ground(scene, name, label, changes):
    assert measure(scene(name, frames=60, **changes))[0]["camera_label"] == label


@pytest.mark.parametrize("name", ["pan", "tilt", "zoom", "roll", "pan_follow", "handheld_cross"])
def test_steps_equal_the_true_camera(scene, name):
    truth = scene(name, frames=60)
    clip = measure(truth)[0]
    diagonal = np.hypot(truth.width, truth.height)
    centre = np.array([(truth.width - 1) / 2, (truth.height - 1) / 2, 1])
    for step in clip["camera_steps"]:
        move = truth.camera[step["next_frame"]] @ np.linalg.inv(truth.camera[step["frame"]])
        shift = np.linalg.norm((move @ centre - centre)[:2]) / diagonal
        turn = abs(np.degrees(np.arctan2(move[1, 0], move[0, 0])))
        assert step["inliers"] > 0
        assert step["translation"] == pytest.approx(shift, abs=1.5e-3)
        assert step["rotation_deg"] == pytest.approx(turn, abs=0.08)
        assert step["zoom"] == pytest.approx(np.hypot(move[0, 0], move[1, 0]), abs=2e-3)


def test_steps_stay_inside_their_clip(scene):
    first, second = measure(scene("cuts"), spans=[(0, 32), (32, 64)])
    for clip, (start, end) in ((first, (0, 32)), (second, (32, 64))):
        frames = [(step["frame"], step["next_frame"]) for step in clip["camera_steps"]]
        assert frames
        assert all(start <= a < b < end for a, b in frames)
        assert all(left[1] == right[0] for left, right in pairwise(frames))
        assert clip["camera_label"] == "static"
        assert clip["camera_backend"] == "features-1"
        assert clip["poses"] is None


def test_only_the_first_seconds_when_asked(scene):
    clip = measure(scene("pan"), config=CameraConfig(seconds=1.0))[0]
    assert max(step["next_frame"] for step in clip["camera_steps"]) < 24


def test_clip_too_short_for_a_step_stays_null(scene):
    clip = measure(scene("pan"), spans=[(3, 4)])[0]
    assert clip["camera_label"] is None
    assert clip["camera_translation"] is None
    assert clip["camera_steps"] == []


def test_darkness_is_unknown_not_static():
    camera = FeatureCamera().start()
    for index in range(10):
        camera.add(index, index / 10, np.zeros((180, 320), np.uint8))
    steps = camera.finish()
    assert [step.inliers for step in steps] == [0.0] * 9
    assert "camera_label" not in summarise(steps, CameraConfig())


def test_sensor_noise_without_texture_is_never_motion():
    rng = np.random.default_rng(0)
    camera = FeatureCamera().start()
    for index in range(10):
        noisy = np.clip(40 + 3 * rng.standard_normal((180, 320)), 0, 255).astype(np.uint8)
        camera.add(index, index / 10, noisy)
    assert all(step.inliers == 0 for step in camera.finish())


def test_whip_pan_is_followed_beyond_the_reach_of_the_pyramid(scene):
    picture = cv2.resize(scene("still").frames[0], (960, 360), interpolation=cv2.INTER_CUBIC)
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[:180]
    camera = FeatureCamera().start()
    for index, x in enumerate(range(0, 560, 110)):
        camera.add(index, index / 10, np.ascontiguousarray(luma[:, x : x + 320]))
    for step in camera.finish():
        assert step.translation == pytest.approx(110 / np.hypot(320, 180), rel=0.02)


@pytest.mark.parametrize("size", [(48, 48), (2, 2), (320, 4)])
def test_tiny_pictures_do_not_fail(size):
    rng = np.random.default_rng(1)
    luma = rng.integers(0, 255, size, dtype=np.uint8)
    camera = FeatureCamera().start()
    for index in range(3):
        camera.add(index, index / 10, luma)
    assert all(step.translation == 0 for step in camera.finish())


def test_flattening_removes_exposure(scene):
    luma = cv2.cvtColor(scene("still").frames[0], cv2.COLOR_RGB2GRAY)
    darker = cv2.convertScaleAbs(luma, alpha=0.6, beta=10)
    assert np.abs(flatten_light(luma).astype(int) - flatten_light(darker)).mean() < 2


def shifts(xs):
    """Steps of a camera that only shifts the picture sideways, by shares of the diagonal."""
    steps = []
    for index, x in enumerate(xs):
        motion = np.array([[1.0, 0.0, x], [0.0, 1.0, 0.0]])
        steps.append(CameraStep(index, index + 1, 0.0, abs(x), 1.0, 1.0, motion))
    return steps


def test_a_straight_slow_pan_moves_while_a_wandering_hand_does_not():
    config = CameraConfig()
    assert camera_label(shifts([0.005] * 12), config) == "moving"
    assert camera_label(shifts([0.02, -0.01] * 6), config) == "handheld"
    assert camera_label(shifts([0.02, -0.01] * 12), config) == "moving"
    assert camera_label(shifts([0.001, -0.001] * 50), config) == "static"
    assert camera_label([], config) == "static"


@given(st.lists(st.floats(-0.05, 0.05), max_size=40), st.floats(0.001, 0.02))
def test_a_larger_static_limit_never_makes_a_clip_less_static(xs, limit):
    steps = shifts(xs)
    tight = camera_label(steps, CameraConfig(static_shift=limit))
    loose = camera_label(steps, CameraConfig(static_shift=2 * limit))
    assert tight != "static" or loose == "static"
