"""Labelled data on disk, and a scoring from end to end on two small clips."""

import csv
import json

import cv2
import numpy as np
import pytest

from curation.contract.errors import UsageError
from curation.contract.rle import decode_mask
from eval.labels.dataset import make_clip, read_data, write_index
from eval.labels.run import run_folder, run_labels
from eval.labels.sampler import sample_clip
from eval.labels.scene import Sequence


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels") / "data"
    (folder / "clips").mkdir(parents=True)
    # One shot with objects, and a still scene.
    write_index(folder, 7, [make_clip(folder, 7, 4), make_clip(folder, 7, 5)])
    return folder


def test_what_was_written_is_read_back(data):
    moving, still = read_data(data)
    assert (moving.group, still.group) == ("static", "still")
    assert still.objects == () and still.events == () and still.transitions == ()
    item = moving.objects[0]
    seen = [index for index, mask in enumerate(item.masks) if mask is not None]
    frame = item.start_frame + seen[len(seen) // 2]
    rows, columns = np.nonzero(decode_mask(item.masks[frame - item.start_frame]))
    middle = np.array([[columns.mean(), rows.mean()]])
    points, _ = item.surface.track(np.array([frame]), middle)
    assert np.abs(points[frame] - middle).max() < 1e-3 and len(points) == len(moving.camera)
    assert {event.object for event in moving.events} <= {item.name for item in moving.objects}


def test_a_clip_made_again_is_the_same(data, tmp_path):
    (tmp_path / "clips").mkdir()
    make_clip(tmp_path, 7, 4)
    for name in ("truth.json", "arrays.npz"):
        here, there = (next((folder / "truth").glob("static*")) / name for folder in (tmp_path, data))
        if name.endswith("json"):
            assert here.read_bytes() == there.read_bytes()
        else:
            with np.load(here) as a, np.load(there) as b:
                assert all((a[key] == b[key]).all() for key in b.files)
    clips = (next((folder / "clips").glob("static*")).read_bytes() for folder in (tmp_path, data))
    assert next(clips) == next(clips)


def test_every_kind_of_clip_comes_in_a_round():
    sampled = [sample_clip(3, index) for index in (5, 16, 23, 32, 1)]
    assert [item.group for item in sampled] == ["still", "still_handheld", "resting", "still_parallax", "cut"]
    assert isinstance(sampled[-1].scene, Sequence) and len(sampled[-1].cameras) == len(sampled[-1].scene.scenes)


def test_a_shot_as_short_as_can_be_is_sampled():
    sequence = sample_clip(1007, 35).scene
    assert isinstance(sequence, Sequence) and min(shot.frames for shot in sequence.scenes) == 30


def test_a_folder_without_labels_says_how_to_make_some(tmp_path):
    with pytest.raises(UsageError, match="labels make"):
        read_data(tmp_path)


def test_hand_labelled_clips_are_known_only_where_somebody_labelled_them(tmp_path):
    (tmp_path / "clips").mkdir()
    masks = tmp_path / "truth" / "davis_ball" / "masks"
    masks.mkdir(parents=True)
    for index in range(3):
        picture = np.zeros((20, 30), np.uint8)
        picture[5:10, index : index + 5] = 255
        cv2.imwrite(str(masks / f"{index:05d}.png"), picture)
    for name in ("davis_ball.mp4", "cars.avi", "leaves.avi"):
        (tmp_path / "clips" / name).touch()
    index = [
        ["clips", "davis_ball.mp4", "3", "slow PAN", "none real; a whip pan", "leaves to the right"],
        ["clips", "leaves.avi", "20", "static", "none", "none"],
        ["clips", "cars.avi", "90", "static", "hard cut at 30", "cars enter left"],
    ]
    _table(tmp_path / "INDEX.csv", ["folder", "file", "frames", "camera", "cuts", "entries_exits"], index)
    transitions = [["cars.avi", "hard_cut", "30", "30"], ["cars.avi", "dissolve", "60", "69"]]
    _table(tmp_path / "truth" / "transitions.csv", ["file", "type", "first_frame", "last_frame"], transitions)
    events = [
        ["cars.avi", "car", "exit", "left", "10", "14"],
        ["davis_ball.mp4", "football", "exit", "right", "1", "2"],
    ]
    header = ["file", "object", "event", "side", "first_frame", "last_frame"]
    _table(tmp_path / "truth" / "events.csv", header, events)

    ball, leaves, cars = read_data(tmp_path)
    assert ball.transitions == () and leaves.events == () and not ball.objects_complete
    assert ball.objects[0].name == ball.events[0].object == "football", "the masks are of what the events are about"
    assert all(clip.by_hand for clip in (ball, leaves, cars))
    assert [shot.camera for shot in ball.shots] == ["moving"] and len(ball.objects[0].masks) == 3
    assert [(shot.start_frame, shot.end_frame) for shot in cars.shots] == [(0, 30), (30, 60), (70, 90)]
    assert cars.objects is None and cars.events[0].frame == 14


def test_data_sets_of_the_same_name_have_runs_of_their_own(tmp_path):
    one, other = tmp_path / "a" / "data", tmp_path / "b" / "data"
    assert run_folder(tmp_path, one) != run_folder(tmp_path, other)
    assert run_folder(tmp_path, one) == run_folder(tmp_path, tmp_path / "b" / ".." / "a" / "data")


def test_scoring_from_end_to_end(data, tmp_path):
    overrides = ["engine.name=inline", "shots.backend=pyscenedetect"]
    [summary] = run_labels([data], tmp_path / "out", "everything", overrides)
    lines = {line.measure.name: line for line in summary.lines}
    assert lines["objects invented in still scenes"].mean == 0
    assert lines["camera label accuracy"].mean == 1
    assert lines["entry sides: rarest side"].mean >= 0.18
    assert lines["moving objects: recall"].cases >= 1
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert {case["clip"] for case in scores["data"][0]["cases"]} >= {"static_004.mp4", "still_005.mp4"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "moving objects: recall" in page and "<script" not in page


def _table(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
