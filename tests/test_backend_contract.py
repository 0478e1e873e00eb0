"""What every backend of a capability must keep to, asked of the embedded ones, of tiny models and of stand-ins.

Shapes, types, the order of coordinates, what visibility means, the same answer twice, empty input, a clip of one frame,
odd sizes.
"""

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from curation.contract.mask_tube import MaskTube
from curation.contract.spans import Span
from curation.models.camera import CameraBackendConfig, build_camera
from curation.models.caption import CaptionConfig, build_captioner
from curation.models.caption.protocol import ClipFacts, ObjectFacts
from curation.models.masks import MasksConfig, build_masks
from curation.models.masks.protocol import MaskPrompt
from curation.models.objects import ObjectsConfig, build_detector
from curation.models.quality import QualityConfig, build_quality_scorer
from curation.models.shots import ShotConfig, build_shot_detector
from curation.models.text import TextConfig, build_text_detector
from curation.models.tracking import TrackingConfig, build_tracker
from curation.stages.captions import caption_request
from curation.video.media import ClipFrames

pytestmark = pytest.mark.usefixtures("one_thread")

STAND_INS = Path(__file__).parent / "stand_ins"
SIZES = [(6, 90, 121, 242, 180), (5, 64, 64, 64, 64), (1, 47, 80, 160, 94)]
"""Frames, working height and width, source width and height."""


@pytest.fixture(autouse=True)
def forget_stand_ins():
    """What a test imported of them would count as installed in the next one."""
    yield
    for name, module in list(sys.modules.items()):
        if str(STAND_INS) in str(getattr(module, "__file__", None) or getattr(module, "__path__", "")):
            del sys.modules[name]


@pytest.fixture(params=SIZES, ids=["odd", "square", "one frame"])
def clip(request) -> ClipFrames:
    return make_clip(*request.param)


def make_clip(length: int, height: int, width: int, source_width: int, source_height: int) -> ClipFrames:
    """A bright square that goes right over noise."""
    rng = np.random.default_rng(0)
    frames = np.tile(rng.integers(60, 120, (height, width, 3), dtype=np.uint8), (length, 1, 1, 1))
    frames += rng.integers(0, 6, frames.shape, dtype=np.uint8)
    for index, frame in enumerate(frames):
        frame[10:30, 12 + 2 * index : 32 + 2 * index] = (210, 40, 40)
    return ClipFrames(
        video_id="video",
        clip_id="clip",
        start=100,
        fps=Fraction(25),
        frames=frames,
        seconds=np.arange(length) / 25,
        source_width=source_width,
        source_height=source_height,
        pictures={},
    )


def square(clip: ClipFrames, frame: int) -> np.ndarray:
    mask = np.zeros((clip.height, clip.width), bool)
    mask[10:30, 12 + 2 * frame : 32 + 2 * frame] = True
    return mask


@pytest.fixture(scope="session")
def any_file(tmp_path_factory) -> str:
    """Weights of a stand-in: it has none, but its file must be there."""
    import torch

    path = tmp_path_factory.mktemp("weights") / "weights.pt"
    torch.save({"weight": torch.zeros(1)}, path)
    return str(path)


class TestDetectors:
    @pytest.fixture(params=["motion", "oneformer", "mask2former", "eomt"])
    def build(self, request, tiny_model):
        if request.param == "motion":
            return lambda: build_detector(ObjectsConfig())
        labels = ("person", "car", "dog", "flower")  # not sky
        settings = {"weights": str(tiny_model(request.param)), "threshold": 0, "overlap": 0, "classes": labels}
        return lambda: build_detector(ObjectsConfig(backend="panoptic", panoptic=settings))

    def test_masks_of_every_frame_that_was_asked_for(self, build, clip):
        asked = sorted({0, clip.length - 1, clip.length // 2})
        found = build().detect(clip, asked)
        assert sorted(found) == asked
        for detections in found.values():
            for detection in detections:
                assert detection.mask.shape == (clip.height, clip.width)
                assert detection.mask.dtype == bool
                assert detection.mask.any()
                assert 0 <= detection.score <= 1
                assert detection.label != "sky"
            areas = [np.count_nonzero(detection.mask) for detection in detections]
            assert areas == sorted(areas, reverse=True)
            if detections:
                assert np.sum([detection.mask for detection in detections], axis=0).max() == 1, "they do not overlap"

    def test_same_answer_twice_and_nothing_for_nothing(self, build):
        clip, again = make_clip(*SIZES[0]), make_clip(*SIZES[0])
        first, second = build().detect(clip, [0, 3, 5]), build().detect(again, [0, 3, 5])
        assert build().detect(clip, []) == {}
        for frame in first:
            assert len(first[frame]) == len(second[frame])
            for one, other in zip(first[frame], second[frame], strict=True):
                assert (one.label, one.score) == (other.label, other.score)
                np.testing.assert_array_equal(one.mask, other.mask)

    def test_batches_do_not_matter(self, tiny_model):
        clip = make_clip(*SIZES[0])
        for name in ("oneformer", "mask2former", "eomt"):
            settings = {"weights": str(tiny_model(name)), "threshold": 0, "overlap": 0}
            alone, together = (
                build_detector(ObjectsConfig(backend="panoptic", panoptic={**settings, "batch_size": size}))
                for size in (1, 4)
            )
            ones, fours = alone.detect(clip, [0, 2, 5]), together.detect(clip, [0, 2, 5])
            for frame in ones:
                assert [d.label for d in ones[frame]] == [d.label for d in fours[frame]]

    def test_stuff_is_one_segment_and_things_are_many(self, tiny_model):
        clip = make_clip(*SIZES[0])
        for name in ("mask2former", "eomt"):
            settings = {"weights": str(tiny_model(name)), "threshold": 0, "overlap": 0, "classes": ("flower", "sky")}
            found = build_detector(ObjectsConfig(backend="panoptic", panoptic=settings)).detect(clip, range(6))
            counts = [[d.label for d in detections].count("flower") for detections in found.values()]
            assert max(counts) == 1, name


class TestMasks:
    @pytest.fixture(params=["foreground", "sam2", "edgetam"])
    def build(self, request, tiny_model):
        if request.param == "foreground":
            return lambda: build_masks(MasksConfig())
        return lambda: build_masks(MasksConfig(backend="sam2", sam2={"weights": str(tiny_model(request.param))}))

    def test_a_mask_in_every_frame_and_the_prompt_in_its_own(self, build, clip):
        frame = clip.length // 2
        prompt = MaskPrompt(frame, square(clip, frame), np.zeros((0, 2), np.float32))
        masks = build().propagate(clip, prompt)
        assert masks.shape == (clip.length, clip.height, clip.width)
        assert masks.dtype == bool
        union = np.count_nonzero(masks[frame] | prompt.mask)
        assert np.count_nonzero(masks[frame] & prompt.mask) / union > 0.95
        tube = MaskTube.of(masks, masks.shape[1:])
        sharp = build().sharpened(clip, tube, [])
        assert sharp.shape == tube.shape
        assert sharp[frame].dtype == bool

    def test_same_answer_twice_also_after_another_object(self, build):
        clip, again = make_clip(*SIZES[0]), make_clip(*SIZES[0])
        other = MaskPrompt(0, np.pad(np.ones((20, 20), bool), ((60, 10), (90, 11))), np.zeros((0, 2), np.float32))
        prompt = MaskPrompt(2, square(clip, 2), np.zeros((0, 2), np.float32))
        tracker = build()
        first = tracker.propagate(clip, prompt)
        tracker.propagate(clip, other)
        np.testing.assert_array_equal(tracker.propagate(clip, prompt), first)
        np.testing.assert_array_equal(build().propagate(again, prompt), first)

    def test_no_prompt_no_mask_and_nothing_of_others(self, build):
        clip = make_clip(*SIZES[0])
        nothing = np.zeros((clip.height, clip.width), bool)
        assert not build().propagate(clip, MaskPrompt(1, nothing, np.zeros((0, 2), np.float32))).any()

    @pytest.mark.parametrize("step", [1, -1])
    def test_two_that_meet_are_followed_to_the_end_and_never_share_a_pixel(self, build, clip, step):
        frame = clip.length // 2
        other = np.zeros((clip.height, clip.width), bool)
        other[34:60, 50:80] = True
        found = list(build().follow_two(clip, frame, (square(clip, frame), other), step))
        assert [index for index, _, _ in found] == list(range(clip.length))[frame + step :: step] * (
            0 <= frame + step < clip.length
        )
        for _, (one, two), touch in found:
            assert (one.shape, two.shape) == ((clip.height, clip.width),) * 2
            assert (one.dtype, two.dtype) == (np.dtype(bool),) * 2
            assert isinstance(touch, bool)
            assert not (one & two).any()

    def test_points_prompt_in_source_pixels(self, tiny_model):
        clip = make_clip(*SIZES[0])
        tracker = build_masks(MasksConfig(backend="sam2", sam2={"weights": str(tiny_model("sam2"))}))
        points = np.array([[40.0, 36.0], [44.0, 40.0]], np.float32)
        masks = tracker.propagate(clip, MaskPrompt(0, np.zeros((clip.height, clip.width), bool), points))
        assert masks.any()

    def test_others_keep_what_is_theirs(self, tiny_model):
        clip = make_clip(*SIZES[0])
        others = np.zeros(clip.gray.shape, bool)
        others[:, :, :60] = True
        for name in ("sam2", "edgetam"):
            tracker = build_masks(MasksConfig(backend="sam2", sam2={"weights": str(tiny_model(name))}))
            prompt = MaskPrompt(0, square(clip, 0), np.zeros((0, 2), np.float32))
            assert not (tracker.propagate(clip, prompt, [others]) & others).any()


class TestTrackers:
    @pytest.fixture(params=["lucas_kanade", "cotracker3", "tapir", "tapnext"])
    def build(self, request, any_file, monkeypatch):
        if request.param == "lucas_kanade":
            return lambda: build_tracker(TrackingConfig())
        return lambda: build_tracker(stand_in_tracker(request.param, any_file))

    def test_shapes_places_and_visibility(self, build, clip):
        right, bottom = clip.source_width, clip.source_height
        queries = np.array(
            [[0, 40, 30], [clip.length - 1, right - 3, bottom - 3], [clip.length // 2, 3, 5]], np.float32
        )
        points, visible = build().track(clip, queries)
        assert (points.shape, points.dtype) == ((clip.length, 3, 2), np.float32)
        assert (visible.shape, visible.dtype) == ((clip.length, 3), np.dtype(bool))
        assert np.isfinite(points).all()
        own = queries[:, 0].astype(int), np.arange(3)
        np.testing.assert_allclose(points[own], queries[:, 1:], atol=1e-3)
        assert visible[own].all()
        inside = (points > -0.5).all(axis=2) & (points < np.array([right, bottom]) - 0.5).all(axis=2)
        assert not (visible & ~inside).any(), "visible means inside the frame"

    def test_no_queries_no_tracks(self, build, clip):
        points, visible = build().track(clip, np.zeros((0, 3), np.float32))
        assert points.shape == (clip.length, 0, 2)
        assert visible.shape == (clip.length, 0)

    def test_same_answer_twice(self, build):
        queries = np.array([[0, 40, 30], [3, 50, 40]], np.float32)
        first, second = (build().track(make_clip(*SIZES[0]), queries) for _ in range(2))
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_array_equal(first[1], second[1])

    @pytest.mark.parametrize(("name", "side"), [("cotracker3", None), ("tapir", 128), ("tapnext", 256)])
    def test_both_ways_in_source_pixels_x_before_y(self, name, side, any_file):
        """The stand-ins drift a pixel of their own pictures to the right in every frame, forwards and backwards."""
        clip = make_clip(*SIZES[0])
        queries = np.array([[2, 100, 50], [5, 60, 150]], np.float32)
        points, visible = build_tracker(stand_in_tracker(name, any_file)).track(clip, queries)
        step = clip.source_width / (side or clip.width)
        for index, (frame, x, y) in enumerate(queries):
            passed = np.arange(clip.length) - frame
            # TAPNext sees what came before in reverse, so there its stand-in drifts the other way.
            drift = np.abs(passed) if name == "tapnext" else passed
            np.testing.assert_allclose(points[:, index, 0], x + drift * step, atol=1e-2)
            np.testing.assert_allclose(points[:, index, 1], y, atol=1e-2)
        assert visible[:, 0].all(), "they see what is in the upper half"
        assert visible[:, 1].tolist() == [False] * 5 + [True], "and a point in its own frame"


def stand_in_tracker(name: str, weights: str) -> TrackingConfig:
    code = STAND_INS / ("co-tracker" if name == "cotracker3" else "tapnet")
    settings = {"weights": weights, "code": str(code)} | ({"resolution": 128} if name == "tapir" else {})
    return TrackingConfig(backend=name, **{name: settings})


class TestCameras:
    @pytest.fixture(params=["features", "colmap", "vggt", "mapanything", "spatialtracker"])
    def build(self, request, tmp_path):
        return lambda: build_camera(stand_in_camera(request.param, tmp_path))

    @staticmethod
    def watch(camera, frames: int, spans: list[Span], size=(120, 90)):
        rng = np.random.default_rng(1)
        picture = rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
        watched = camera.start()
        for index in range(frames):
            moved = np.roll(picture, index, axis=1)
            watched.add(3 * index, index / 10, moved if camera.colour else moved[..., 0].copy())
        return watched.finish(spans)

    def test_steps_between_sampled_frames_of_the_clips(self, build):
        steps = self.watch(build(), 20, [Span(0, 30), Span(30, 60)], size=(121, 91))
        assert len(steps) >= 18
        assert all(step.next_frame - step.frame == 3 for step in steps)
        assert [step.frame for step in steps] == sorted(step.frame for step in steps)
        for step in steps:
            assert step.rotation_deg >= 0
            assert step.translation >= 0
            assert step.zoom > 0
            assert 0 <= step.inliers <= 1

    def test_one_frame_and_none_have_no_steps(self, build):
        assert self.watch(build(), 1, [Span(0, 1)]) == []
        assert self.watch(build(), 0, []) == []

    def test_same_answer_twice(self, build):
        first, second = (self.watch(build(), 6, [Span(0, 18)]) for _ in range(2))
        assert first == second

    @pytest.mark.parametrize("name", ["vggt", "mapanything", "spatialtracker"])
    def test_poses_are_camera_to_world(self, name, tmp_path):
        """The stand-ins' cameras turn by 2 degrees and move by .1 to the right from picture to picture."""
        steps = self.watch(build_camera(stand_in_camera(name, tmp_path)), 6, [Span(0, 18)])
        assert len(steps) == 5
        for index, step in enumerate(steps):
            assert step.rotation_deg == pytest.approx(2, abs=0.05)
            assert step.translation == pytest.approx(0.1, abs=1e-4)
            assert step.focal_change_px == pytest.approx(0, abs=1e-6)
            assert step.poses.shape == (2, 3, 4)
            assert step.poses[1][:, 3] == pytest.approx([0.1 * (index + 1), 0, 0], abs=1e-5)

    def test_long_spans_are_thinned(self, tmp_path):
        config = stand_in_camera("vggt", tmp_path, most_pictures=5)
        steps = self.watch(build_camera(config), 20, [Span(0, 60)])
        assert len(steps) == 4
        assert steps[-1].next_frame == 48


def stand_in_camera(name: str, weights: Path, **settings) -> CameraBackendConfig:
    folders = {"vggt": "vggt", "mapanything": "map-anything", "spatialtracker": "SpaTrackerV2"}
    if name not in folders:
        return CameraBackendConfig(backend=name)
    own = {"weights": str(weights), "code": str(STAND_INS / folders[name]), **settings}
    return CameraBackendConfig(backend=name, **{name: own})


class TestQuality:
    @pytest.fixture(params=["classical", "clipiqa_nima_icnet"])
    def build(self, request, any_file, monkeypatch, tmp_path):
        if request.param == "classical":
            return lambda: build_quality_scorer(QualityConfig())
        return lambda: build_quality_scorer(stand_in_quality(any_file, monkeypatch, tmp_path))

    @pytest.mark.parametrize("size", [(90, 121), (512, 512), (1, 1)])
    def test_one_finite_score_a_column(self, build, size):
        scorer = build()
        picture = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
        scores = scorer.scores(picture)
        assert tuple(scores) == scorer.columns
        assert all(isinstance(score, float) and np.isfinite(score) for score in scores.values())
        assert build().scores(picture) == scores

    def test_red_comes_first(self, any_file, monkeypatch, tmp_path):
        """The stand-ins score brightness and deviation of what they are given, in 0..1."""
        scorer = build_quality_scorer(stand_in_quality(any_file, monkeypatch, tmp_path))
        picture = np.full((64, 64, 3), 51, np.uint8)
        scores = scorer.scores(picture)
        assert scores["image_quality"] == pytest.approx(0.2)
        assert scores["aesthetic"] == pytest.approx(2)
        expected = np.std((0.2 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225]))
        assert scores["complexity"] == pytest.approx(expected, abs=1e-3)


def stand_in_quality(weights: str, monkeypatch, tmp_path: Path) -> QualityConfig:
    monkeypatch.setattr(sys, "path", [str(STAND_INS / "pyiqa"), *sys.path])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "pyiqa"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("CLIP-IQA+_learned_prompts-603f3273.pth", "NIMA_InceptionV2_ava-b0c77c00.pth"):
        (folder / name).touch()
    icnet = {"weights": weights, "code": str(STAND_INS / "IC9600")}
    return QualityConfig(backend="clipiqa_nima_icnet", icnet=icnet)


class TestShots:
    @pytest.fixture(params=["transnetv2", "pyscenedetect", "autoshot"])
    def build(self, request, any_file):
        settings = {"weights": any_file, "code": str(STAND_INS / "AutoShot")}
        return lambda: build_shot_detector(ShotConfig(backend=request.param, autoshot=settings))

    @staticmethod
    def watch(detector, frames):
        width, height = detector.frame_size
        watched = detector.start()
        for frame in frames:
            watched.add(np.ascontiguousarray(frame[:height, :width]))
        return watched.finish()

    def test_a_cut_is_the_first_frame_of_the_new_shot(self, build):
        rng = np.random.default_rng(0)
        shots = [rng.integers(0, 255, (300, 300, 3), dtype=np.uint8) // 2 + 100 * (i % 2) for i in range(3)]
        frames = [shots[0]] * 60 + [shots[1]] * 73 + [shots[2]] * 40
        found = self.watch(build(), frames)
        assert [(one.kind, one.start, one.end) for one in found] == [("cut", 60, 60), ("cut", 133, 133)]
        assert all(0 <= one.score <= 1 for one in found)
        assert self.watch(build(), frames) == found

    @pytest.mark.parametrize("frames", [0, 1, 49, 101])
    def test_a_still_video_has_no_transition(self, build, frames):
        assert self.watch(build(), [np.full((300, 300, 3), 90, np.uint8)] * frames) == []


class TestCaptioners:
    @pytest.fixture(params=["template", "qwen2_5_vl", "qwen3_vl"])
    def build(self, request, tiny_model):
        if request.param == "template":
            return lambda: build_captioner(CaptionConfig())
        settings = {"weights": str(tiny_model(request.param)), "max_new_tokens": 12}
        return lambda: build_captioner(CaptionConfig(backend="qwen", qwen=settings))

    def test_one_line_for_each_request_whatever_its_batch(self, build):
        facts = ClipFacts("static", (ObjectFacts("car", "red", 0.1, "left", "right", "right", 0.2, True, (), ()),))
        captioner = build()
        clips = [make_clip(40, 90, 121, 242, 180), *(make_clip(*size) for size in SIZES)]
        requests = [caption_request(clip, 0, facts, captioner.sampling) for clip in clips]
        captions = captioner.captions(requests)
        assert len(captions) == len(requests)
        for caption in captions:
            assert isinstance(caption, str), caption
            assert caption
            assert caption == " ".join(caption.split())
        assert build().captions(requests) == captions
        assert [captioner.captions([request])[0] for request in requests] == captions
        assert captioner.captions([]) == []


class TestText:
    def test_shares_of_pictures_of_any_size(self):
        detector = build_text_detector(TextConfig())
        for size in ((90, 121), (64, 64)):
            area = detector.area(np.full((*size, 3), 120, np.uint8))
            assert area == 0


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_gives_the_same_kinds_of_answers(tiny_model, dtype):
    clip = make_clip(*SIZES[0])
    settings = {"weights": str(tiny_model("mask2former")), "threshold": 0, "overlap": 0, "dtype": dtype}
    assert build_detector(ObjectsConfig(backend="panoptic", panoptic=settings)).detect(clip, [0])[0]
    if dtype == "bfloat16":  # the CPU convolves no float16
        masks = build_masks(MasksConfig(backend="sam2", sam2={"weights": str(tiny_model("sam2")), "dtype": dtype}))
        assert masks.propagate(clip, MaskPrompt(0, square(clip, 0), np.zeros((0, 2), np.float32))).any()
