"""Caches: what training makes of them is what it makes without; refused when stale; killed and resumed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from curation.contract.errors import UsageError
from curation.contract.manifest import RunFolder
from curation.contract.tables import records, table
from training.cache.precompute import precompute
from training.cache.reader import LatentCache
from training.cache.schemas import DATASETS, IDENTITY, SCHEMAS, TEXT, VIDEO
from training.config import load_config
from training.data.dataset import SampleDataset
from training.data.rows import _open_shard
from training.data.schedule import Draw
from training.metrics import read_metrics
from training.run import run_training

# Bits depend on the number of threads; the processes that tests start have one, too.
pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[1]
SMALL = (
    "data.sizes=[[32,64]]",
    "data.frames=[5,9]",
    "validation.every=0",
    "loop.trackers=[]",
    "loop.steps=4",
    "optimizer.warmup_steps=4",
)


LIKE_TINY_WAN = {
    "tiny-cogvideox": ("data.frames=[1,9]",),
    "wan2.1-14b": (
        "model={base: tiny, revision: null, frozen_weights: float32}",
        "loop={precision: 'no', workers: 0, accumulation: 1}",
        "parallel.sharding=none",
    ),
}


@pytest.fixture
def many_run(truth_run):
    """The true run with six samples of four spans and three captions."""
    samples = []
    for row in records(truth_run.read("samples")):
        for name, end in (("a", 48), ("b", 48), ("short", 10)):
            objects = [
                item | {"points": np.array(item["points"])[:end], "visibility": np.array(item["visibility"])[:end]}
                for item in row["objects"]
            ]
            changed = {"sample_id": f"{row['sample_id']}-{name}", "end_frame": end, "objects": objects}
            changed |= {"caption": f"the {name} thing comes in from left", "clip_id": f"{row['clip_id']}-{name}"}
            samples.append(row | changed)
    truth_run.write_shard("samples", "000", table("samples", samples))
    return truth_run


@pytest.fixture
def recipe(many_run):
    def get(*overrides, model="tiny-wan", stage="inout"):
        settings = [*SMALL, "engine.name=inline", *LIKE_TINY_WAN.get(model, ()), *overrides]
        return load_config(model, stage, [many_run.uri], None, settings)

    return get


def losses(output):
    return [line["loss"] for line in read_metrics(output / "metrics.jsonl") if "loss" in line]


def rows_of(cache, dataset):
    """Sorted by key, so that the order in which shards were done does not count."""
    data = RunFolder(cache).read(dataset, schema=SCHEMAS[dataset])
    return data.take(pc.sort_indices(data["key"])).to_pylist()


@pytest.mark.parametrize(
    ("model", "stage"), [("tiny-wan", "inout"), ("tiny-cogvideox", "inout"), ("wan2.1-14b", "inout")]
)
def test_training_from_a_cache_has_the_losses_of_training_without(recipe, tmp_path, model, stage):
    settings = ["data.drop_identity=0.5", "loop.batch_size=2"]
    settings += ["objective.dropout={text: 0.4, first_frame: 0.3, identity: 0.4}"]
    config = recipe(*settings, model=model, stage=stage)
    assert precompute(config, str(tmp_path / "cache")) == 0
    cached = recipe(*settings, f"data.cache={tmp_path / 'cache'}", model=model, stage=stage)
    run_training(config, tmp_path / "without")
    run_training(cached, tmp_path / "with")
    assert losses(tmp_path / "with") == pytest.approx(losses(tmp_path / "without"), rel=1e-5)
    assert len(losses(tmp_path / "with")) == 4

    kept = {dataset: rows_of(tmp_path / "cache", dataset) for dataset in DATASETS}
    assert len(kept[VIDEO]) == 4  # samples of one span share its latents
    assert len(kept[TEXT]) == 3
    is_wan = model != "tiny-cogvideox"
    assert all((row["deviation"] is None) == is_wan for row in kept[VIDEO])
    # Wan: an ID, and the black picture. CogVideoX noises the ID's pixels in each step.
    assert {row["sample_id"] is None for row in kept[IDENTITY]} == ({True, False} if is_wan else set())


def test_only_the_first_frame_is_decoded(recipe, tmp_path):
    precompute(recipe(), str(tmp_path / "cache"))
    plain = SampleDataset(recipe().data)
    cached = SampleDataset(recipe(f"data.cache={tmp_path / 'cache'}").data)
    for row in range(len(plain)):
        one, other = plain[Draw(3, row, row)], cached[Draw(3, row, row)]
        assert other.video is None and other.identity is None
        assert other.video_mean.shape == (48, (len(one.video) - 1) // 4 + 1, 2, 4)
        for name in ("sample_id", "caption", "fps", "frames", "has_identity"):
            assert getattr(one, name) == getattr(other, name)
        for name in ("region_box", "dot_places", "dot_pixels", "first_frame"):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def test_a_run_goes_on_with_a_cache_where_it_stopped_without(recipe, tmp_path):
    precompute(recipe(), str(tmp_path / "cache"))
    run_training(recipe(), tmp_path / "straight")
    run_training(recipe("loop.steps=2"), tmp_path / "changed")
    run_training(recipe(f"data.cache={tmp_path / 'cache'}"), tmp_path / "changed")
    assert losses(tmp_path / "changed") == pytest.approx(losses(tmp_path / "straight"), rel=1e-5)


def test_stale_caches_are_refused_by_what_differs(recipe, many_run, tmp_path):
    cache = tmp_path / "cache"
    with pytest.raises(UsageError, match="not a cache"):
        run_training(recipe(f"data.cache={cache}"), tmp_path / "run")
    precompute(recipe(), str(cache))
    for override, said in {
        "data.sizes=[[64,64]]": r"data.sizes is \[\[32, 64\]\] there and \[\[64, 64\]\] here",
        "model.frozen_weights=bfloat16": "model.frozen_weights is float32 there and bfloat16 here",
        "loop.precision=bf16": "loop.precision is no there and bf16 here",
        "data.legacy_stretch=true": "data.legacy_stretch is False there and True here",
    }.items():
        with pytest.raises(UsageError, match=f"other settings: {said}; precompute into another folder"):
            run_training(recipe(f"data.cache={cache}", override), tmp_path / "run")
        with pytest.raises(UsageError, match=f"{said}; name another --output"):
            precompute(recipe(override), str(cache))
    drawn_otherwise = recipe(f"data.cache={cache}", "data.dot_radius=3", "data.keep_identity_points=1", "loop.steps=1")
    run_training(drawn_otherwise, tmp_path / "run")
    with pytest.raises(UsageError, match="not empty and not a cache"):
        precompute(recipe(), many_run.uri)


def test_changed_and_new_samples_are_missed_and_added_others_stay(recipe, many_run, tmp_path):
    cache = tmp_path / "cache"
    precompute(recipe(), str(cache))
    before = {dataset: rows_of(cache, dataset) for dataset in DATASETS}
    samples = records(many_run.read("samples"))
    samples[0]["caption"] = "another caption"
    many_run.write_shard("samples", "000", table("samples", samples))
    _open_shard.cache_clear()  # as in a new process
    data = recipe(f"data.cache={cache}").data
    dataset = SampleDataset(data)
    with pytest.raises(UsageError, match="lacks text_embeddings of a sample; run `python -m training precompute`"):
        _ = dataset[Draw(0, 0, 0)]
    precompute(recipe(), str(cache))
    assert SampleDataset(data)[Draw(0, 0, 0)].caption == "another caption"
    assert rows_of(cache, VIDEO) == before[VIDEO] and rows_of(cache, IDENTITY) == before[IDENTITY]
    assert len(rows_of(cache, TEXT)) == len(before[TEXT]) + 1

    many_run.write_shard("samples", "001", table("samples", [samples[0] | {"sample_id": "new", "start_frame": 5}]))
    with pytest.raises(UsageError, match="lacks 1 of 7 samples, such as new"):
        SampleDataset(data)
    precompute(recipe(), str(cache))
    SampleDataset(data)


def test_a_broken_video_is_replaced_and_tried_again(recipe, many_run, tmp_path):
    cache = tmp_path / "cache"
    dataset = SampleDataset(recipe().data)
    video = Path(dataset.index.read(0).video["uri"])
    whole = video.read_bytes()
    try:
        video.write_bytes(whole[:1000])
        assert precompute(recipe(), str(cache)) == 3
        cached = recipe(f"data.cache={cache}").data
        replaced = SampleDataset(cached)[Draw(0, 0, 0)]
        assert replaced.video_mean is not None
        assert replaced.sample_id == dataset[Draw(0, 0, 0)].sample_id != dataset.index.sample_id(0) == replaced.replaces
    finally:
        video.write_bytes(whole)  # other tests read it
    assert precompute(recipe(), str(cache)) == 0
    _open_shard.cache_clear()  # as in a new process
    assert not SampleDataset(cached)[Draw(0, 0, 0)].replaces


@pytest.mark.slow
def test_killed_and_resumed_on_ray_it_holds_what_an_undisturbed_one_does(recipe, many_run, tmp_path):
    precompute(recipe(), str(tmp_path / "straight"))
    chosen = [word for setting in (*SMALL, "engine.name=inline", "engine.shard_items=1") for word in ("--set", setting)]
    command = [sys.executable, "-m", "training", "precompute", "--manifest", many_run.uri, "--model", "tiny-wan"]
    command += ["--stage", "inout", "--output", str(tmp_path / "killed"), *chosen]
    ledger = tmp_path / "killed/ledger/precompute"
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    killed = subprocess.Popen(command, cwd=ROOT, env=alone, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        deadline = time.monotonic() + 120
        while not list(ledger.glob("*.parquet")) and killed.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
    finally:
        killed.kill()
        said = killed.communicate()[0]
    committed = {path: path.stat().st_mtime_ns for path in ledger.glob("*.parquet")}
    assert committed, said
    # What a kill between writing and committing leaves.
    RunFolder(tmp_path / "killed").write_shard(VIDEO, "uncommitted", SCHEMAS[VIDEO].empty_table())

    assert precompute(recipe("engine.name=ray", "engine.workers=1"), str(tmp_path / "killed")) == 0
    assert not (tmp_path / "killed/video_latents/uncommitted.parquet").exists()
    assert all(path.stat().st_mtime_ns == written for path, written in committed.items())
    caches = [LatentCache(str(tmp_path / name)) for name in ("straight", "killed")]
    for dataset in DATASETS:
        keys = [{row["key"] for row in rows_of(tmp_path / name, dataset)} for name in ("straight", "killed")]
        assert keys[0] == keys[1]
    for row in rows_of(tmp_path / "straight", VIDEO):
        means = [cache.video(row["key"])[0] for cache in caches]
        assert np.allclose(*means, atol=1e-5)
