"""A batch has one row for each sample, whatever happens on the way."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder
from curation.contract.tables import table
from inference.batch import BatchSpec, run_batch
from inference.generations import GENERATIONS, SCHEMA
from inference.memory import LoadConfig
from inference.metadata import recipe_of_video
from inference.request import load_request

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[1]


def spec_for(run, output, **changes):
    values = {"model": "tiny-wan", "seed": 0, "num_inference_steps": 1, "load": LoadConfig().model_dump_json()}
    return BatchSpec(run=run.uri, output=str(output), **(values | changes))


def rows_of(output):
    return RunFolder(output).read(GENERATIONS, schema=SCHEMA).to_pylist()


def test_every_sample_gets_one_row_and_a_rerun_does_what_is_missing(truth_run, tmp_path):
    output = tmp_path / "gen"
    spec = spec_for(truth_run, output)
    assert run_batch(spec, "train", engine="inline") == 0
    rows = {row["sample_id"]: row for row in rows_of(output)}
    wanted = truth_run.read("samples", ["sample_id"])["sample_id"].to_pylist()
    assert sorted(rows) == sorted(wanted) and len(wanted) == 2
    for row in rows.values():
        assert row["error"] is None and row["model_revision"] == "random, seed 0" and row["seconds"] > 0
        assert Path(row["video_uri"]).is_file() and Path(row["region_uri"]).is_file()
        request = load_request(Path(row["request_uri"]))
        assert (request.seed, request.size) == (row["seed"], (row["width"], row["height"]))
        assert request.resolved() == recipe_of_video(Path(row["video_uri"])).request
    assert len({row["seed"] for row in rows.values()}) == 2

    # Killed after a video and before its row: the row file is not there.
    lost = sorted((output / GENERATIONS).iterdir())[0]
    kept = sorted((output / GENERATIONS).iterdir())[1].stat().st_mtime_ns
    lost.unlink()
    assert run_batch(spec, "train", engine="inline") == 0
    again = {row["sample_id"]: row for row in rows_of(output)}
    assert sorted(again) == sorted(wanted) and len(rows_of(output)) == 2
    assert sorted((output / GENERATIONS).iterdir())[1].stat().st_mtime_ns == kept
    assert [again[name]["seed"] for name in wanted] == [rows[name]["seed"] for name in wanted]


def test_a_sample_that_fails_says_why_and_costs_no_other(truth_run, tmp_path):
    broken, whole = truth_run.read("samples").to_pylist()
    Path(broken["uri"]).rename(tmp_path / "away.mp4")
    try:
        assert run_batch(spec_for(truth_run, tmp_path / "gen"), "train", engine="inline") == 1
        errors = {row["sample_id"]: row["error"] for row in rows_of(tmp_path / "gen")}
        assert errors[whole["sample_id"]] is None
        assert "cannot be read" in errors[broken["sample_id"]]
    finally:
        (tmp_path / "away.mp4").rename(broken["uri"])
    assert run_batch(spec_for(truth_run, tmp_path / "gen"), "train", engine="inline") == 0
    assert [row["error"] for row in rows_of(tmp_path / "gen")] == [None, None]


def test_a_sample_that_shows_no_motion_says_so_plainly(truth_run, tmp_path):
    rows = truth_run.read("samples").to_pylist()
    still = next(row for row in rows if row["kinds"] == "frame_out")
    for item in still["objects"]:
        item["points"] = (np.asarray(item["points"]) + 1e5).tolist()
    truth_run.write_shard("samples", "000", table("samples", rows))
    assert run_batch(spec_for(truth_run, tmp_path / "gen"), "train", engine="inline") == 1
    errors = {row["sample_id"]: row["error"] for row in rows_of(tmp_path / "gen")}
    said = errors.pop(still["sample_id"])
    assert said.startswith(f"sample {still['sample_id']}: ") and "trajector" in said and "internal" not in said
    assert list(errors.values()) == [None]


def test_wrong_places_are_refused(truth_run, tmp_path):
    with pytest.raises(UsageError, match="no samples in split 'bench'"):
        run_batch(spec_for(truth_run, tmp_path / "gen"), "bench", engine="inline")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        run_batch(spec_for(truth_run, tmp_path / "mine"), "train", engine="inline")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "batch.json").write_text(json.dumps({"run": "/elsewhere"}))
    with pytest.raises(UsageError, match="holds generations of /elsewhere"):
        run_batch(spec_for(truth_run, tmp_path / "other"), "train", engine="inline")


def test_the_schema_says_what_every_column_means():
    for field in SCHEMA:
        assert field.metadata[b"doc"]


def with_more_samples(run, count):
    """The run's frame_out sample `count` times, each by its own name."""
    row = next(row for row in run.read("samples").to_pylist() if row["kinds"] == "frame_out")
    rows = [row | {"sample_id": f"{row['sample_id']}-{index}"} for index in range(count)]
    run.write_shard("samples", "000", table("samples", rows))
    return [row["sample_id"] for row in rows]


def kill_after(rows, command, output):
    """SIGKILL the driver alone, as soon as the batch has that many rows."""
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 280
    while len(list(output.glob(f"{GENERATIONS}/*.parquet"))) < rows and time.monotonic() < deadline:
        assert driver.poll() is None, "ended before it could be killed"
        time.sleep(0.02)
    driver.kill()
    driver.wait()


def batch_command(run, output, *more):
    command = [sys.executable, "-m", "inference", "batch", "--manifest", run.uri, "--split", "train", "-o", str(output)]
    return [*command, "--model", "tiny-wan", "--num-inference-steps", "1", *more]


def test_a_killed_batch_goes_on_with_what_is_missing(truth_run, tmp_path):
    wanted, output = with_more_samples(truth_run, 4), tmp_path / "gen"
    kill_after(2, batch_command(truth_run, output, "--engine", "inline"), output)
    made = {row["sample_id"]: row for row in rows_of(output)}
    assert 2 <= len(made) < 4
    assert run_batch(spec_for(truth_run, output), "train", engine="inline") == 0
    rows = rows_of(output)
    assert sorted(row["sample_id"] for row in rows) == sorted(wanted)
    assert all(row["error"] is None and Path(row["video_uri"]).is_file() for row in rows)
    assert [row for row in rows if row["sample_id"] in made] == list(made.values())  # what was there is as it was


@pytest.mark.slow
def test_killed_on_ray_and_resumed(truth_run, tmp_path):
    wanted, output = with_more_samples(truth_run, 6), tmp_path / "gen"
    command = batch_command(truth_run, output, "--workers", "1")
    kill_after(2, command, output)
    assert 2 <= len(rows_of(output)) < 6
    subprocess.run(command, cwd=ROOT, check=True)
    assert sorted(row["sample_id"] for row in rows_of(output)) == sorted(wanted)
