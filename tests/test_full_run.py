"""The whole pipeline on Ray with every backend that runs through transformers: tiny random models in local folders."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from curation.__main__ import app
from curation.contract.manifest import RunFolder


@pytest.fixture(scope="module")
def videos(clip_file, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name in ("static_cross_left_right", "exits_right"):
        shutil.copy(clip_file(name, frames=40), folder / f"{name}.mp4")
    return folder


def settings(tiny_model, tmp_path: Path, detector: str, masks: str, captioner: str) -> Path:
    labels = ["person", "car", "dog", "flower"]
    config = {
        "preset": "everything",
        "objects": {
            "detector": {
                "backend": "panoptic",
                "panoptic": {
                    "weights": str(tiny_model(detector)),
                    "threshold": 0,
                    "overlap": 0,
                    "classes": labels,
                    "dtype": "float32",
                    "device": "cpu",
                },
            },
            "masks": {"backend": "sam2", "sam2": {"weights": str(tiny_model(masks)), "device": "cpu"}},
            "discovery_seconds": 1000,
            "max_prompts": 3,
            **dict.fromkeys(
                ("min_area", "min_travel", "min_own_travel", "min_carried", "min_persistence", "min_seen"), 0
            ),
        },
        "captions": {
            "backend": "qwen",
            "qwen": {"weights": str(tiny_model(captioner)), "max_new_tokens": 12, "device": "cpu"},
        },
        "engine": {"shard_items": 1},
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def curate(source: Path, run: Path, config: Path, *overrides: str) -> dict:
    command = ["run", "--input", str(source), "--output", str(run), "--config", str(config)]
    command += [part for override in overrides for part in ("--set", override)]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads((run / "summary.json").read_text())


def check(run: Path, summary: dict, detector: str, masks: str, captioner: str) -> None:
    clips = pl.read_parquet(run / "clips" / "*.parquet")
    assert clips.height == 2
    verdicts = pl.read_parquet(run / "verdicts" / "*.parquet")
    assert not (verdicts["rule"] == "failed").any(), verdicts.filter(pl.col("rule") == "failed")["reason"].to_list()
    assert clips["caption"].null_count() == 0
    assert all(captioner in name for name in clips["caption_model"])
    objects = pl.read_parquet(run / "objects" / "*.parquet")
    assert objects["clip_id"].n_unique() == 2
    assert set(objects["label"]) <= {"person", "car", "dog", "flower"}
    for column, weights in (("object_backend", detector), ("mask_backend", masks)):
        (name,) = objects[column].unique()
        assert f"{weights}" in name
        assert "@local config " in name
    loads = summary["model_loads"]
    assert set(loads) == {"panoptic", "sam2", "qwen"}
    assert all(times == workers for times, workers in loads.values()), loads
    assert summary["counts"]["caption answer tokens"] > 0
    described = yaml.safe_load((run / "run.yaml").read_text())["backends"]
    assert {one["backend"] for one in described} >= {"panoptic", "sam2", "qwen", "lucas_kanade", "features"}


def test_tasks_on_cpus_load_each_model_once_a_worker(videos, tiny_model, tmp_path):
    names = ("oneformer", "sam2", "qwen2_5_vl")
    config = settings(tiny_model, tmp_path, *names)
    summary = curate(videos, tmp_path / "run", config, "engine.workers=1")
    check(tmp_path / "run", summary, *(str(tiny_model(name)) for name in names))
    assert all(load == [1, 1] for load in summary["model_loads"].values()), "two clips, one worker, one load"

    again = curate(videos, tmp_path / "inline", config, "engine.name=inline")
    assert again["counts"] == summary["counts"]
    for manifest in ("clips", "objects", "tracks", "events", "samples"):
        rows, others = (
            sorted(map(repr, RunFolder(tmp_path / run).read(manifest).to_pylist())) for run in ("run", "inline")
        )
        assert rows == others, manifest


def test_actors_that_share_a_gpu_load_each_model_once(videos, tiny_model, tmp_path):
    """A GPU as Ray counts them; the models stay on the CPU."""
    import ray

    names = ("mask2former", "edgetam", "qwen3_vl")
    config = settings(tiny_model, tmp_path, *names)
    ray.init(address="local", num_cpus=3, num_gpus=1, include_dashboard=False, object_store_memory=128 * 1024**2)
    try:
        summary = curate(videos, tmp_path / "run", config, "engine.worker_gpus=0.5", "engine.workers=2")
    finally:
        ray.shutdown()
    check(tmp_path / "run", summary, *(str(tiny_model(name)) for name in names))
    assert all(1 <= workers <= 2 for _, workers in summary["model_loads"].values())
