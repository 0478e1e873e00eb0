"""Benchmarks: chosen in balance, cut at their size, and read by generation and evaluation; the published files, too."""

import csv
import json
from collections import Counter

import cv2
import numpy as np
import pytest

from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder
from curation.contract.tables import records, table
from curation.video.decode import analyse_frames
from curation.video.open import DecodeConfig
from eval.benchmark.build import build_benchmark
from eval.benchmark.choose import Candidate, choose
from eval.benchmark.schemas import BENCHMARK, SCHEMA
from eval.config import ComparisonConfig
from eval.pair import read_pair
from eval.subject import asked_event, subject_of
from eval.videos import read_truth

SIZE = (112, 160)


def candidate(index, video, side, label="object"):
    return Candidate(f"s{index}", video, "o", "frame_in", side, label, (0, 0, 1, 1), 3)


def test_sides_and_labels_take_turns_and_videos_come_first():
    crowd = [candidate(i, f"v{i}", "left", "car") for i in range(20)]
    crowd += [candidate(20 + i, f"w{i}", "right", "dog") for i in range(3)]
    crowd += [candidate(30, "w0", "top", "cat"), candidate(31, "x", "top", "cat")]
    chosen = choose(crowd, 8, seed=0)
    assert Counter(item.side for item in chosen) == {"left": 4, "right": 3, "top": 1}
    assert len({item.video_id for item in chosen}) == 8
    assert choose(crowd[::-1], 8, seed=0) == chosen and choose(crowd, 8, seed=1) != chosen
    assert len(choose(crowd, 99, seed=0)) == len(crowd)
    same_side = [candidate(i, f"v{i}", "left", "car" if i else "dog") for i in range(6)]
    assert {item.label for item in choose(same_side, 2, seed=3)} == {"car", "dog"}


@pytest.fixture
def held_back(truth_run):
    """The truth run with all samples in split bench, as after `select --set split.bench=1`."""
    rows = records(truth_run.read("samples"))
    for row in rows:
        row["split"] = "bench"
        if row["kinds"] == "frame_in":  # the person is in view, left of the box, from frame 12 on
            row["start_frame"] = 16
            for item in row["objects"]:
                item["points"], item["visibility"] = item["points"][16:], item["visibility"][16:]
    truth_run.write_shard("samples", "000", table("samples", rows))
    return truth_run


def test_a_benchmark_is_a_run_at_its_own_size(held_back, tmp_path):
    bench = RunFolder(tmp_path / "bench")
    assert build_benchmark(held_back.uri, bench.uri, 5, SIZE, 15, 0) == 2
    rows = {row["kind"]: row for row in records(bench.read(BENCHMARK, schema=SCHEMA))}
    assert rows["frame_in"]["side"] == "left" and rows["frame_out"]["side"] == "right"
    events = records(bench.read("events"))
    source_samples = {row["sample_id"]: row for row in records(held_back.read("samples"))}
    for kind, row in rows.items():
        frames = row["source_frames"]
        assert len(frames) == 15 and set(np.diff(frames)) == {2}  # 24 frames per second, every second one
        (sample,) = [item for item in records(bench.read("samples")) if item["sample_id"] == row["sample_id"]]
        assert (sample["height"], sample["width"], sample["fps"], sample["split"]) == (*SIZE, 12.0, "bench")
        (video,) = [item for item in records(bench.read("videos")) if item["video_id"] == sample["video_id"]]
        assert (video["frames"], video["width"]) == (15, 160)
        # Pixels are those of the source's frames, and points lie where they lay in them.
        source = source_samples[row["sample_id"]]
        with analyse_frames(source["uri"], "x", DecodeConfig()) as analysis:
            pictures = [frame.rgb(160, 112).copy() for frame in analysis if frame.index in set(frames)]
        shown = read_truth(video, range(15), SIZE)
        assert np.abs(shown.astype(int) - np.stack(pictures)).mean() < 4
        subject = subject_of(sample, events)
        original = np.asarray(source["objects"][0]["points"])[frames - source["start_frame"]]
        scale = np.array([160 / source["width"], 112 / source["height"]])
        assert subject["points"] == pytest.approx((original + 0.5) * scale - 0.5, abs=1e-3)
        asked = asked_event(sample, subject["object_id"], events)
        assert asked is not None and (asked.side, asked.frame) == (row["side"], row["event_frame"])
        true = next(
            e
            for e in records(held_back.read("events"))
            if e["boundary"] == "region" and e["video_id"] == source["video_id"]
        )
        assert abs(frames[asked.frame] - true["frame"]) < 2
        assert (sample["identity_reference"] is not None) == (kind == "frame_in")
        (track,) = [item for item in records(bench.read("tracks")) if item["clip_id"] == sample["clip_id"]]
        assert track["masks"][3]["size"] == list(SIZE)
    card = bench.read_bytes("card.md").decode()
    assert "| frame_in | 1 | left 1 | ball 1 |" in card and held_back.uri in card
    for field in SCHEMA:
        assert field.metadata[b"doc"]


def test_a_rerun_goes_on_and_keeps_what_is_whole(held_back, tmp_path):
    bench = RunFolder(tmp_path / "bench")
    build_benchmark(held_back.uri, bench.uri, 5, SIZE, 15, 0)
    first, second = bench.shards(BENCHMARK)
    bench.delete(f"{BENCHMARK}/{first}.parquet")  # stopped before its last row
    before = (tmp_path / "bench" / "media" / f"{second}.mp4").stat().st_mtime_ns
    assert build_benchmark(held_back.uri, bench.uri, 5, SIZE, 15, 0) == 2
    assert (tmp_path / "bench" / "media" / f"{second}.mp4").stat().st_mtime_ns == before
    assert len(bench.read("samples")) == 2
    with pytest.raises(UsageError, match="seed 0"):
        build_benchmark(held_back.uri, bench.uri, 5, SIZE, 15, 1)


def test_what_does_not_fit_is_counted_or_refused(held_back, tmp_path):
    with pytest.raises(UsageError, match="shorter than 49 frames"):
        build_benchmark(held_back.uri, str(tmp_path / "a"), 5, SIZE, 49, 0)
    rows = records(held_back.read("samples"))
    held_back.write_shard("samples", "000", table("samples", [row | {"split": "train"} for row in rows]))
    with pytest.raises(UsageError, match=r"select .* --set split\.bench="):
        build_benchmark(held_back.uri, str(tmp_path / "b"), 5, SIZE, 15, 0)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("x")
    held_back.write_shard("samples", "000", table("samples", rows))
    with pytest.raises(UsageError, match="not empty"):
        build_benchmark(held_back.uri, str(tmp_path / "mine"), 5, SIZE, 15, 0)


def write_csv(file, rows):
    file.parent.mkdir(parents=True)
    with file.open("w", newline="") as text:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({key: value if isinstance(value, str) else json.dumps(value) for key, value in row.items()})


def test_the_published_files_are_read(scene, clip_file, tmp_path):
    """Both layouts of columns; a row whose video is missing is left out with its reason."""
    clip, file = scene("exits_right", frames=48), clip_file("exits_right", frames=48)
    folder = tmp_path / "FrameINO_data"
    points = clip.tracks[clip.objects[0]].points
    for kind in ("FrameIn", "FrameOut"):
        videos = folder / "video_dataset" / f"evaluation_{kind}"
        videos.mkdir(parents=True)
        (videos / "walk.mp4").write_bytes(file.read_bytes())
    ids = folder / "video_dataset" / "evaluation_ID_FrameIn"
    ids.mkdir()
    cv2.imwrite(str(ids / "walk.png"), np.full((40, 20, 3), 90, np.uint8))
    size = {"height": "180", "width": "320", "num_frames": "48", "fps": "24.0"}
    boxes = [[20000, [160, 20], [300, 170]], [10000, [200, 60], [300, 160]]]  # the largest counts
    old = {
        "video_path": "walk.mp4",
        **size,
        "FrameIN_info": [[["person", 4, 0.5]]],
        "Track_Traj": [[np.round(points[::2]).astype(int).tolist()]],
        "Improved_Text_Prompt": ["A person walks."],
        "ID_info": [[[[[0, 0, 9, 9], "walk.png", []], boxes]]],
    }
    write_csv(
        folder / "dataset_csv_files" / "evaluation_formal_FrameIn" / "a.csv", [old, old | {"video_path": "no.mp4"}]
    )
    new = {
        "ID": "1",
        "video_path": "walk.mp4",
        **size,
        "valid_duration": [2, 48],
        "Panoptic_Segmentation": [],
        "Structured_Text_Prompt": ["A person leaves."],
        "Obj_Info": [[["person", 1]]],
        "Track_Traj": [[points[2:].tolist()]],
        "Track_Visibility": [[np.ones(points[2:].shape[:2], bool).tolist()]],
        "ID_info": [[[[], [[30000, [60, 20], [220, 170]]]]]],
    }
    write_csv(folder / "dataset_csv_files" / "evaluation_formal_FrameOut" / "a.csv", [new])

    bench = RunFolder(tmp_path / "bench")
    assert build_benchmark(str(folder), bench.uri, 200, SIZE, 20, 0) == 2
    rows = {row["kind"]: row for row in records(bench.read(BENCHMARK, schema=SCHEMA))}
    assert rows["frame_in"]["source_frames"].tolist() == list(range(4, 44, 2))
    assert rows["frame_out"]["source_frames"].tolist() == list(range(3, 43, 2))
    assert (rows["frame_in"]["side"], rows["frame_out"]["side"], rows["frame_in"]["label"]) == (
        "left",
        "right",
        "person",
    )
    samples = {row["kinds"]: row for row in records(bench.read("samples"))}
    assert list(samples["frame_in"]["region_boxes"][0]) == [80, 12, 150, 105]
    assert samples["frame_in"]["caption"] == "A person walks." and samples["frame_in"]["identity_reference"]["bytes"]
    wanted = (points[4:44:2] + 0.5) * [160 / 320, 112 / 180] - 0.5
    assert samples["frame_in"]["objects"][0]["points"] == pytest.approx(wanted, abs=0.5)
    card = bench.read_bytes("card.md").decode()
    assert "no.mp4" in card and "FrameIn-a-2" in card
    (folder / "dataset_csv_files" / "evaluation_formal_FrameIn" / "a.csv").write_text("video_path\n")
    (folder / "dataset_csv_files" / "evaluation_formal_FrameOut" / "a.csv").unlink()
    with pytest.raises(UsageError, match="with rows"):
        build_benchmark(str(folder), str(tmp_path / "none"), 200, SIZE, 20, 0)


def test_every_broken_row_of_the_published_files_has_its_reason(scene, clip_file, tmp_path, capsys):
    """A folder as the dataset's card describes it, and whatever may be wrong with one that was copied and edited."""
    clip, file = scene("exits_right", frames=48), clip_file("exits_right", frames=48)
    folder = tmp_path / "FrameINO data"  # a space
    points = clip.tracks[clip.objects[0]].points
    videos = folder / "video_dataset" / "evaluation_FrameOut"
    (videos / "my videos").mkdir(parents=True)
    (videos / "my videos" / "walk 1.mp4").write_bytes(file.read_bytes())
    (videos / "half.mp4").write_bytes(file.read_bytes()[:2000])
    (folder / "outside.mp4").write_bytes(file.read_bytes())
    good = {
        "ID": "1",
        "video_path": " my videos/walk 1.mp4",
        "height": "180",
        "width": "320",
        "num_frames": "48.0",
        "fps": "23,98",  # never read: files are measured
        "valid_duration": [0, 48],
        "Panoptic_Segmentation": [],
        "Structured_Text_Prompt": ["Jemand geht \u2013 zum Caf\u00e9."],
        "Obj_Info": [[["person", 0], ["dog", 0]]],
        "Track_Traj": [[points.tolist()]],
        "Track_Visibility": [[np.ones(points.shape[:2], int).tolist()] * 2],
        "ID_info": [[[[], [[30000, [60.7, 20], [220, 170]]]]]],
    }
    lost = np.where(np.arange(len(points))[:, None, None] == 6, np.nan, points)
    beside = np.add(points, [1000.5, -3e9])  # far out of the picture: what floats can say
    broken = [
        ({"video_path": "gone.mp4"}, "no file"),
        ({"video_path": "half.mp4"}, "half.mp4"),
        ({"video_path": "../../outside.mp4"}, "is not in"),
        ({"video_path": str(folder / "outside.mp4")}, "is not in"),
        ({"Track_Traj": "[[[["}, "Track_Traj: no list in JSON"),
        ({"Track_Traj": [[points[:10].tolist()]]}, "tracks of 10 frames, 39 are needed"),
        ({"Track_Traj": [[lost.tolist()]]}, "Track_Traj: coordinates that are no numbers"),
        ({"Track_Visibility": [[[[1]]]]}, "not as published"),
        ({"Obj_Info": "None"}, "Obj_Info: no list in JSON: 'None'"),
        ({"Obj_Info": [[["person", 30]]]}, "tracks of 48 frames, 69 are needed"),
        ({"valid_duration": [20, 48]}, "has 48 frames, frame 58 is asked for"),
        ({"ID_info": [[[[], []]]]}, "not as published"),
        ({"ID_info": [[[[], [[1, [200, 20], [100, 170]]]]]]}, "region box [200, 20, 100, 170] is none"),
        ({"ID_info": [[[[], [[1, [200, 20], [999, 170]]]]]]}, "region box [200, 20, 999, 170] is none"),
    ]
    place = folder / "dataset_csv_files" / "evaluation_formal_FrameOut" / "a.csv"
    write_csv(
        place,
        [good, good | {"Track_Traj": [[points.tolist(), beside.tolist()]]}, *(good | change for change, _ in broken)],
    )
    text = place.read_text()
    place.write_bytes(b"\xef\xbb\xbf" + text.encode() + b'16,"my videos/walk 1.mp4"\r\n')  # ends in the middle of a row
    other = folder / "dataset_csv_files" / "evaluation_formal_FrameIn" / "b.csv"
    write_csv(other, [{"video_path": "x.mp4", "ID_info": "[]"}])

    bench = RunFolder(tmp_path / "bench")
    assert build_benchmark(str(folder), bench.uri, 200, SIZE, 20, 0) == 2
    assert f"{len(broken) + 2} left out" in capsys.readouterr().out
    card = bench.read_bytes("card.md").decode()
    for number, (_, reason) in enumerate(broken, start=3):
        (line,) = [line for line in card.splitlines() if f"FrameOut-a-{number}: " in line]
        assert reason in line
    assert "FrameOut-a-17: not as published" in card and "FrameIn-b-1: " in card
    first, second = records(bench.read("samples"))
    assert first["caption"] == "Jemand geht \u2013 zum Caf\u00e9."
    assert list(first["region_boxes"][0]) == [30, 12, 110, 105]
    assert len(second["objects"]) == 2 and not np.asarray(second["objects"][1]["visibility"]).any()


def test_an_object_of_two_samples_keeps_its_tracks_apart(held_back, tmp_path):
    """Two samples of one clip begin at different frames: each finds its own masks and events under its own names."""
    rows = records(held_back.read("samples"))
    (first,) = [row for row in rows if row["kinds"] == "frame_out"]
    later = {**first, "sample_id": first["sample_id"] + "-later", "start_frame": 8}
    later["objects"] = [
        item | {"points": item["points"][8:], "visibility": item["visibility"][8:]} for item in first["objects"]
    ]
    held_back.write_shard("samples", "000", table("samples", [first, later]))
    bench = RunFolder(tmp_path / "bench")
    assert build_benchmark(held_back.uri, bench.uri, 5, SIZE, 15, 0) == 2
    events = {row["object_id"]: row["frame"] for row in records(bench.read("events"))}
    frames = {row["sample_id"]: row["event_frame"] for row in records(bench.read(BENCHMARK, schema=SCHEMA))}
    assert events == {f"{name}_o0": frame for name, frame in frames.items()}
    assert frames[first["sample_id"]] - frames[later["sample_id"]] == 4
    boxes = {}
    for name in frames:
        row = {"sample_id": name, "video_uri": str(tmp_path / "bench" / "media" / f"{name}.mp4")}
        row |= {"num_frames": 15, "fps": 12.0, "error": None}
        pair = read_pair(bench, row, ComparisonConfig(height=112, width=160))
        assert np.abs(pair.points.mean(axis=0) - np.argwhere(pair.mask)[:, ::-1].mean(axis=0)).max() < 8
        boxes[name] = np.argwhere(pair.mask)[:, 1].mean()
    assert boxes[later["sample_id"]] - boxes[first["sample_id"]] > 10  # it has walked on
