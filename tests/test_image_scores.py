"""Image scores: which pictures are kept, what is measured on them, and what the stage writes."""

import logging
from fractions import Fraction

import cv2
import numpy as np
import pytest

from curation.contract.spans import Span
from curation.contract.tables import records, table
from curation.models.quality import QualityConfig, build_quality_scorer
from curation.models.text import TextConfig, build_text_detector
from curation.stages.image_scores import ImageScoreConfig, ImageScores
from curation.stages.kept_pictures import KeptPictures
from curation.video.media import DecodedFrame, VideoHeader

RNG = np.random.default_rng(0)


def decoded(index, frame):
    height, width = frame.shape[:2]
    return DecodedFrame(
        index, index / 24, index == 0, width, height, lambda w, h, _: cv2.resize(frame, (w, h), cv2.INTER_AREA)
    )


def plain(level):
    return np.full((90, 160, 3), level, np.uint8)


def keep(frames, **config):
    kept = KeptPictures(
        **{"size": (160, 90), "interval": 12, "most": 600, "view_change": 20, "jpeg_quality": 95, **config}
    )
    for index, frame in enumerate(frames):
        kept.offer(decoded(index, frame))
    return kept


def lettering(size=(640, 360), text="CURATION OF VIDEO", scale=1.6):
    picture = np.full((size[1], size[0], 3), (60, 90, 70), np.uint8)
    return cv2.putText(picture, text, (20, size[1] // 2), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 4)


@pytest.fixture(scope="module")
def text():
    return build_text_detector(TextConfig())


@pytest.fixture(scope="module")
def stage():
    return ImageScores(ImageScoreConfig())


def test_text_area_covers_the_lettering_and_little_else(text):
    picture = lettering()
    (width, height), _ = cv2.getTextSize("CURATION OF VIDEO", cv2.FONT_HERSHEY_SIMPLEX, 1.6, 4)
    assert width * height / picture[..., 0].size == pytest.approx(text.area(picture), rel=0.5)
    assert text.name.startswith("rapidocr-3.")


def test_pictures_without_text(text, scene, caplog, capfd):
    with caplog.at_level(logging.DEBUG):
        for name in ("still", "pan"):
            assert text.area(scene(name).frames[0]) == 0
        assert text.area(plain(0)) == 0
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("shape", [(48, 48), (1, 1), (2, 300), (300, 2)])
def test_tiny_pictures(text, shape):
    picture = RNG.integers(0, 255, (*shape, 3), np.uint8)
    assert 0 <= text.area(picture) <= 1
    assert all(np.isfinite(value) for value in build_quality_scorer(QualityConfig()).scores(picture).values())


def test_a_box_taller_than_any_line_is_not_text(text, monkeypatch):
    whole = np.float32([[0, 0], [639, 0], [639, 359], [0, 359]])
    line = np.float32([[0, 0], [320, 0], [320, 36], [0, 36]])

    class Found:
        boxes = np.stack([whole, line, line + np.float32([160, 0])])

    monkeypatch.setitem(vars(text), "_reader", lambda bgr: Found)
    assert text.area(np.zeros((360, 640, 3), np.uint8)) == pytest.approx(480 * 36 / (640 * 360), rel=0.03)


def test_quality_falls_with_blur_darkness_and_clipping(scene):
    scorer = build_quality_scorer(QualityConfig())
    picture = scene("still").frames[0]
    best = scorer.scores(picture)
    assert set(best) == set(scorer.columns)
    blurred = scorer.scores(cv2.GaussianBlur(picture, (0, 0), 3))
    dark = scorer.scores((picture * 0.1).astype(np.uint8))
    burnt = scorer.scores(np.clip(picture.astype(int) * 4, 0, 255).astype(np.uint8))
    assert min(one["classical_quality"] for one in (blurred, dark, burnt)) >= 0
    assert max(one["classical_quality"] for one in (blurred, dark, burnt)) < best["classical_quality"] <= 1
    assert blurred["clarity"] < 0.2 * best["clarity"]
    assert blurred["edge_complexity"] < best["edge_complexity"]


def test_measures_of_pictures_whose_answer_is_known():
    scorer = build_quality_scorer(QualityConfig())
    flat = scorer.scores(plain(128))
    assert flat == {"clarity": 0, "classical_quality": 0, "colourfulness": 0, "edge_complexity": 0}
    halves = plain(0)
    halves[:, :80], halves[:, 80:] = (200, 0, 0), (0, 200, 0)
    # rg is +-200: deviation 200, mean 0; yb is 100 everywhere: M3 = 200 + 0.3 * 100.
    assert scorer.scores(halves)["colourfulness"] == pytest.approx(230)


def test_pictures_at_a_steady_rate():
    kept = keep([plain(100)] * 60)
    assert kept.near(Span(0, 60), (0, 0.5, 0.95)) == [0, 24, 48]
    assert kept.near(Span(13, 24), (0, 0.5)) == []


def test_a_new_view_is_kept_at_once():
    frames = [plain(60)] * 17 + [plain(160)] * 6 + [plain(60)] * 10
    kept = keep(frames)
    assert kept.near(Span(17, 23), (0, 0.5, 0.95)) == [17]
    assert kept.near(Span(23, 33), (0,)) == [23]
    assert abs(kept.picture(17).mean() - 160) < 2


def test_memory_is_bounded_and_pictures_stay_spread():
    rng = np.random.default_rng(1)
    frames = [plain(int(level)) for level in rng.integers(0, 255, 400)]
    kept = keep(frames, interval=2, most=20)
    steady = kept.near(Span(0, 400), np.linspace(0, 1, 400, endpoint=False))
    assert len(steady) <= 40
    assert np.diff(steady).max() <= 32


def test_the_stage_scores_wanted_clips_only(stage):
    picture = lettering()
    dull = np.full_like(picture, 90)
    only_long = ImageScores(ImageScoreConfig(), wanted=lambda clip, video: clip["end_frame"] > video["frames"] // 2)
    only_long._text = stage._text
    observer = only_long.start(VideoHeader("a", "a.mp4", 640, 360, Fraction(24), 40, Fraction(1), 0, "h264"))
    for index in range(40):
        observer.observe(decoded(index, dull if index < 10 else picture))
    clips = [
        {"clip_id": "a_0", "video_id": "a", "start_frame": 0, "end_frame": 10, "start_frames": np.array([0])},
        {"clip_id": "a_1", "video_id": "a", "start_frame": 10, "end_frame": 40},
    ]
    tables = {"videos": table("videos", [{"video_id": "a", "frames": 40}]), "clips": table("clips", clips)}
    first, second = records(observer.finish(tables)["clips"])
    assert first["start_frames"].tolist() == [0]
    assert all(first[column] is None for column in ("text_area", "clarity", "score_frames", "text_backend"))
    assert second["score_frames"].tolist() == [10, 24, 36]
    assert 0.02 < second["text_area"] < 0.3
    assert second["edge_complexity"] > 0
    assert (second["image_quality"], second["aesthetic"], second["complexity"]) == (None, None, None)
    assert second["quality_backend"] == "classical-1"


def test_clarity_is_that_of_the_first_picture(stage):
    sharp = RNG.integers(0, 255, (90, 160, 3), np.uint8)
    mixed = stage.scores([plain(90), sharp])
    assert mixed["clarity"] == 0
    assert mixed["edge_complexity"] == pytest.approx(stage.scores([sharp])["edge_complexity"] / 2)
