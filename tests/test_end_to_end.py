"""The whole pipeline on a real local Ray: videos in, manifests out, and what must hold between them."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from curation.__main__ import app
from curation.contract.manifest import RunFolder
from curation.contract.rle import decode_mask
from curation.contract.schemas import SCHEMAS
from curation.contract.tables import records

NAMES = ("static_cross_left_right", "late_entry", "exits_left", "still", "pan", "cuts")
DATASETS = tuple(SCHEMAS)


def curate(source: Path, run: Path, *options: str) -> str:
    command = ["run", "--input", str(source), "--output", str(run), *options]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def rows_of(run: Path, name: str) -> list[str]:
    """All rows of a manifest, each as text, in an order of their own: shards finish in any order."""
    return sorted(map(repr, RunFolder(run).read(name).to_pylist()))


def assert_same_manifests(one: Path, other: Path) -> None:
    for name in DATASETS:
        assert rows_of(one, name) == rows_of(other, name), name


def snapshot(run: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in run.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def videos(clip_file, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name in NAMES:
        shutil.copy(clip_file(name, frames=108), folder / f"{name}.mp4")
    whole = (folder / "pan.mp4").read_bytes()
    (folder / "no_index.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.mp4").touch()
    (folder / "notes.txt").write_text("not a video")
    return folder


@pytest.fixture(scope="module")
def run(videos, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "ray"
    curate(videos, run)
    return run


def test_every_file_has_a_row_and_every_item_one_verdict(run, videos):
    manifest = pl.read_parquet(run / "videos" / "*.parquet")
    assert sorted(Path(uri).name for uri in manifest["uri"]) == sorted(path.name for path in videos.glob("*.mp4"))
    failed = manifest.filter(pl.col("error").is_not_null())
    assert sorted(Path(uri).name for uri in failed["uri"]) == ["empty.mp4", "no_index.mp4"]
    assert all("\n" not in error for error in failed["error"])

    verdicts = pl.read_parquet(run / "verdicts" / "*.parquet")
    expected = {
        ("video", "videos", "video_id"),
        ("clip", "clips", "clip_id"),
        ("object", "objects", "object_id"),
        ("sample", "samples", "sample_id"),
    }
    for level, name, key in expected:
        items = RunFolder(run).read(name)[key].to_pylist()
        judged = verdicts.filter(pl.col("level") == level)["item_id"].to_list()
        assert len(judged) == len(set(judged)), level
        assert set(items) <= set(judged), level
    assert verdicts.filter(~pl.col("kept"))["reason"].null_count() == 0


def test_schemas_are_the_contract(run):
    for name in DATASETS:
        folder = RunFolder(run)
        for shard in folder.shards(name):
            schema = folder.read_shard(name, shard).schema
            assert schema.equals(SCHEMAS[name]), name
            assert [field.metadata for field in schema] == [field.metadata for field in SCHEMAS[name]]
        pl.read_parquet(run / name / "*.parquet")


def test_what_moves_is_sampled_and_what_stands_still_is_not(run):
    samples = pl.read_parquet(run / "samples" / "*.parquet")
    sources = {Path(uri).stem for uri in samples["uri"]}
    assert sources == {"static_cross_left_right", "late_entry", "exits_left"}
    kinds = {
        stem: set(rows["kinds"])
        for (stem,), rows in samples.with_columns(stem=pl.col("video_id").str.slice(0, 8)).group_by("stem")
    }
    assert kinds["late-ent"] == {"frame_in"}
    assert "frame_out" in kinds["exits-le"]
    rules = dict(
        pl.read_parquet(run / "verdicts" / "*.parquet")
        .filter(pl.col("level") == "clip")
        .select("item_id", "rule")
        .iter_rows()
    )
    assert {rule for clip, rule in rules.items() if clip.startswith("pan")} == {"camera_label"}


def test_events_are_those_of_the_truth(run, scene):
    events = pl.read_parquet(run / "events" / "*.parquet").filter(pl.col("boundary") == "frame")
    for name in ("static_cross_left_right", "late_entry", "exits_left"):
        truth = scene(name, frames=108).events
        found = events.filter(pl.col("video_id").str.starts_with(name.replace("_", "-")))
        assert sorted(zip(found["type"], found["side"], strict=True)) == sorted(
            (event.type, event.side) for event in truth
        ), name
        for event in truth:
            frame = found.filter((pl.col("type") == event.type) & (pl.col("side") == event.side))["frame"][0]
            assert abs(frame - event.frame) <= 5, (name, event, frame)


def test_samples_keep_their_promises(run):
    objects = {row["object_id"]: row for row in records(RunFolder(run).read("objects"))}
    tracks = {row["object_id"]: row for row in records(RunFolder(run).read("tracks"))}
    for sample in records(RunFolder(run).read("samples")):
        length = sample["end_frame"] - sample["start_frame"]
        assert length / sample["fps"] >= 4 - 1e-6
        assert all(np.asarray(entry["points"]).shape[0] == length for entry in sample["objects"])
        identities = [entry["object_id"] for entry in sample["objects"] if entry["is_identity"]]
        assert len(identities) == (0 if sample["kinds"] == "frame_out" else 1)
        assert (sample["identity_reference"] is None) == (sample["kinds"] == "frame_out")
        for identity in identities:
            assert identity in objects
            rle = tracks[identity]["masks"][sample["start_frame"] - tracks[identity]["start_frame"]]
            mask = None if rle is None else decode_mask(rle)
            for x0, y0, x1, y1 in sample["region_boxes"]:
                assert 0 <= x0 < x1 <= sample["width"]
                assert 0 <= y0 < y1 <= sample["height"]
                assert mask is None or not mask[y0:y1, x0:x1].any()


def test_decode_budget(run):
    decode = json.loads((run / "summary.json").read_text())["decode"]
    assert 1.0 <= decode["worst_rejected"] <= 1.1
    assert 1.0 < decode["worst_survivor"] <= 2.2


def test_running_again_changes_no_file(run, videos):
    before = snapshot(run)
    output = curate(videos, run)
    assert "nothing to do" in output
    assert snapshot(run) == before


def test_inline_and_interrupted_runs_give_the_same_manifests(run, videos, tmp_path):
    inline = tmp_path / "inline"
    curate(videos, inline, "--set", "engine.name=inline")
    assert_same_manifests(run, inline)

    # As if it had been killed: two shards of each pass never happened, a third one was written but not committed.
    folder = RunFolder(inline)
    for pass_name, datasets in (("analyse", ("videos", "shots")), ("label", ("objects", "tracks"))):
        first, second, third = folder.shards(f"ledger/{pass_name}")[:3]
        for shard in (first, second):
            for dataset in datasets:
                folder.delete(f"{dataset}/{shard}.parquet")
        for shard in (first, second, third):
            folder.delete(f"ledger/{pass_name}/{shard}.parquet")
    folder.delete("summary.json")
    curate(videos, inline, "--set", "engine.name=inline")
    assert_same_manifests(run, inline)


def test_a_file_that_comes_later_ends_in_the_manifests_of_a_run_that_had_it_at_once(videos, tmp_path):
    more, grown, at_once = tmp_path / "videos", tmp_path / "grown", tmp_path / "at once"
    more.mkdir()
    for name in ("late_entry", "empty"):
        shutil.copy(videos / f"{name}.mp4", more)
    curate(more, grown, "--set", "engine.name=inline")
    before = rows_of(grown, "objects")
    shutil.copy(videos / "exits_left.mp4", more)
    curate(more, grown, "--set", "engine.name=inline")
    assert set(before) < set(rows_of(grown, "objects"))
    curate(more, at_once, "--set", "engine.name=inline")
    assert_same_manifests(grown, at_once)


def test_select_opens_no_video_and_can_be_undone(run, videos, tmp_path, monkeypatch):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    before = rows_of(copy, "verdicts")

    def no_video(*_: object, **__: object) -> None:
        pytest.fail("select must not open a video")

    monkeypatch.setattr("av.open", no_video)
    invoke = CliRunner().invoke
    assert invoke(app, ["select", str(copy), "--set", "rules.speed.min=1e9"], catch_exceptions=False).exit_code == 0
    verdicts = pl.read_parquet(copy / "verdicts" / "*.parquet")
    assert set(verdicts.filter(pl.col("level") == "object")["rule"]) <= {
        "speed",
        "mask_area",
        "cycle_lost",
        "mask_lost",
        "points",
        "clip",
    }
    assert RunFolder(copy).read("samples").num_rows == 0
    assert yaml.safe_load((copy / "run.yaml").read_text())["config"]["rules"]["speed"]["min"] == 1e9
    speed = yaml.safe_load((run / "run.yaml").read_text())["config"]["rules"]["speed"]["min"]
    assert (
        invoke(app, ["select", str(copy), "--set", f"rules.speed.min={speed}"], catch_exceptions=False).exit_code == 0
    )
    assert rows_of(copy, "verdicts") == before
