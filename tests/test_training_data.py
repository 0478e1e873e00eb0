"""Training samples: pixels against the rendered truth, order and batches, both feeders, broken videos."""

import logging
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.contract.config import parse_config
from curation.contract.errors import UsageError, VideoError
from curation.contract.manifest import RunFolder
from curation.contract.tables import records, table
from curation.engine.ray_data import shut_down
from training.conditioning.colours import COLOURS
from training.conditioning.trajectory import paste_dots
from training.config import load_config
from training.data.config import DataConfig, ManifestConfig
from training.data.dataset import SampleDataset
from training.data.feeder import WorkerFeeder
from training.data.sample import SampleRow, draw_conditions
from training.data.schedule import Draw, Share, epoch_batches, epoch_order
from training.data.stream import RayFeeder
from training.metrics import read_metrics
from training.run import run_training


def data_config(*runs, weights=(), **changes):
    names = [str(getattr(run, "uri", run)) for run in runs]
    weights = weights or [1.0] * len(names)
    manifests = [{"run": name, "weight": weight} for name, weight in zip(names, weights, strict=True)]
    defaults = {"sizes": [[96, 176], [176, 96]], "frames": [9, 13, 21]}
    return parse_config(DataConfig, {"manifests": manifests} | defaults | changes, "test")


@pytest.fixture
def wide_run(truth_run: RunFolder) -> RunFolder:
    """The true run, its two samples cut to several lengths: 2 clips x 3 lengths, so that there are buckets."""
    rows = records(truth_run.read("samples"))
    samples = []
    for row in rows:
        for end in (48, 30, 20):
            objects = [
                item | {"points": np.array(item["points"])[:end], "visibility": np.array(item["visibility"])[:end]}
                for item in row["objects"]
            ]
            changed = {"sample_id": f"{row['sample_id']}-{end}", "end_frame": end, "objects": objects}
            changed["clip_id"] = f"{row['clip_id']}-{end}"
            samples.append(row | changed)
    truth_run.write_shard("samples", "000", table("samples", samples[:2]))
    truth_run.write_shard("samples", "001", table("samples", samples[2:]))
    return truth_run


@pytest.fixture(scope="module")
def private_cluster():
    yield
    shut_down()


def drawn_video(sample):
    """Its trajectory video, uint8 [F, H, W, 3]."""
    video = np.full((sample.frames, *sample.first_frame.shape), 255, np.uint8)
    paste_dots(video, sample.dot_places, sample.dot_pixels)
    return video


def part_of(batch, place):
    """One sample of a batch, as the batch of its own."""
    part = {key: value[place : place + 1] for key, value in batch.items() if not key.startswith("dot_")}
    frames = int(batch["frames"][0])
    mine = batch["dot_places"][:, 0] // frames == place
    part["dot_places"] = batch["dot_places"][mine] - torch.tensor([frames * place, 0, 0, 0, 0], dtype=torch.int32)
    areas = batch["dot_places"][:, 3] * batch["dot_places"][:, 4]
    part["dot_pixels"] = batch["dot_pixels"][mine.repeat_interleave(areas)]
    return part


def equal(one, other):
    assert one.keys() == other.keys()
    return all(
        (torch.equal(one[key], other[key]) and one[key].dtype == other[key].dtype)
        if isinstance(one[key], torch.Tensor)
        else one[key] == other[key]
        for key in one
    )


# One sample


@pytest.mark.parametrize("stage", ["motion", "inout"])
def test_pixels_are_those_of_the_clip_and_conditions_follow_its_truth(truth_run, scene, stage):
    everything = {
        "keep_motion_points": 1,
        "keep_identity_points": 1,
        "keep_other_points": 1,
        "drop_identity": 0,
        "dot_radius": 20,
    }
    dataset = SampleDataset(data_config(truth_run, stage=stage, stride=2, **everything))
    for row in range(len(dataset)):
        sample = dataset[Draw(0, row, row)]
        name = dataset.index.read(row).video["video_id"]
        clip = scene(name, frames=48)
        assert sample.video.shape == (21, 96, 176, 3) and sample.video.dtype == np.uint8
        assert sample.fps == float(clip.fps) / 2
        for place in (0, 5, 10):  # later the object is gone, and all frames are alike
            errors = [
                np.abs(
                    cv2.resize(clip.frames[at], (176, 96), interpolation=cv2.INTER_AREA)
                    - sample.video[place].astype(int)
                )
                for at in range(len(clip.frames))
            ]
            assert np.argmin([error.mean() for error in errors]) == 2 * place
            assert errors[2 * place].mean() < 4

        x0, y0, x1, y1 = sample.region_box.tolist()
        if stage == "motion":
            assert (x0, y0, x1, y1) == (0, 0, 176, 96) and not sample.has_identity and not sample.identity.any()
        else:
            assert np.abs(sample.region_box - [44, 12, 132, 84]).max() <= 1
            assert sample.has_identity == sample.identity.any() == (name == "enters_left")
        inside = np.zeros((96, 176, 1), bool)
        inside[y0:y1, x0:x1] = True
        assert np.array_equal(sample.first_frame, np.where(inside, sample.video[0], 0))

        points = clip.tracks[clip.objects[0]].points[::2][:21]
        scale = np.array([176 / clip.width, 96 / clip.height])
        box = np.array(dataset.index.read(row).region_boxes[0])
        starts_inside = (points[0] >= box[:2]) & (points[0] < box[2:])
        drawn = points if stage == "motion" or name == "enters_left" else points[:, starts_inside.all(axis=1)]
        red = np.abs(drawn_video(sample).astype(int) - COLOURS[0]).sum(axis=3) < 250
        for at in (0, 10, 20):
            seen = (drawn[at] >= 8).all(axis=1) & (drawn[at] < (clip.width - 8, clip.height - 8)).all(axis=1)
            places = (drawn[at][seen] * scale).astype(int)
            assert red[at, places[:, 1], places[:, 0]].all()
            assert red[at].any() == bool(len(places)) or not seen.any()


def row_of(objects, boxes, png=b"png"):
    return SampleRow("s", "", 0, 24.0, (100, 200), objects, boxes, png, 2, {})


def test_points_are_kept_as_the_recipe_says():
    rng = np.random.default_rng(0)
    identity = {"points": np.full((4, 1000, 2), 150, np.float32), "is_identity": True}
    inside = {"points": np.full((4, 1000, 2), 20, np.float32), "is_identity": False}
    outside = {"points": np.full((4, 1000, 2), 120, np.float32), "is_identity": False}
    outside["points"][1:] = 20  # comes in later: still not kept
    row = row_of([outside, identity, inside], [[0, 0, 100, 100], [10, 10, 90, 90]])
    boxes, kept, dropped = Counter(), [], 0
    for _ in range(400):
        drawn = draw_conditions(row, data_config("x"), rng)
        boxes[tuple(drawn.region_box)] += 1
        dropped += drawn.identity_png is None
        assert len(drawn.points) == (1 if drawn.identity_png is None else 2)
        assert (drawn.points[-1][0] == 20).all()
        kept += [track.shape[1] for track in drawn.points]
    assert min(boxes.values()) > 150
    assert 0.10 < dropped / 400 < 0.20
    assert abs(np.mean(kept) - 330) < 5

    motion = [draw_conditions(row, data_config("x", stage="motion"), rng) for _ in range(50)]
    assert all(drawn.region_box == (0, 0, 200, 100) and drawn.identity_png is None for drawn in motion)
    assert abs(np.mean([track.shape[1] for drawn in motion for track in drawn.points]) - 400) < 10


def test_objects_without_points_leave_no_gap_in_the_colours():
    empty = {"points": np.empty((4, 0, 2), np.float32), "is_identity": False}
    one = {"points": np.full((4, 5, 2), 20, np.float32), "is_identity": False}
    drawn = draw_conditions(
        row_of([empty, one], [[0, 0, 100, 100]], None), data_config("x", keep_other_points=1), np.random.default_rng(0)
    )
    assert [track.shape for track in drawn.points] == [(4, 5, 2)]


# Which samples there are


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_frame_counts_are_4n_plus_1_after_the_stride(truth_run, stride):
    rows = records(truth_run.read("samples"))
    lengths = range(1, 49)
    samples = [rows[0] | {"sample_id": f"s{end:02d}", "end_frame": end} for end in lengths]
    truth_run.write_shard("samples", "000", table("samples", samples))
    index = SampleDataset(data_config(truth_run, stride=stride, frames=list(range(1, 49, 4)))).index
    assert len(index) == len(lengths)
    for row, length in enumerate(lengths):
        frames = index.bucket(row).frames
        assert frames % 4 == 1
        assert (frames - 1) * stride < length <= (frames + 3) * stride


def test_stride_comes_near_the_target_rate_and_buckets_near_the_aspect(truth_run):
    rows = records(truth_run.read("samples"))
    rates = {8.0: 1, 20.0: 2, 25.0: 2, 29.97: 2, 60.0: 5}
    shapes = [(640, 360), (360, 640), (480, 470)]
    samples = [
        rows[0] | {"sample_id": f"s{rate}-{width}", "fps": rate, "width": width, "height": height}
        for rate in rates
        for width, height in shapes
    ]
    truth_run.write_shard("samples", "000", table("samples", samples))
    index = SampleDataset(data_config(truth_run, frames=[1], sizes=[[96, 176], [176, 96], [128, 128]])).index
    for row in range(len(index)):
        rate, width = index.sample_id(row)[1:].split("-")
        assert index.read(row).stride == rates[float(rate)]
        assert index.bucket(row)[:2] == {"640": (96, 176), "360": (176, 96), "480": (128, 128)}[width]


def test_samples_are_chosen_by_split_kind_and_strictness(truth_run):
    rows = records(truth_run.read("samples"))
    rows[0] |= {"strict": False}
    rows += [row | {"sample_id": f"val {row['sample_id']}", "split": "val"} for row in rows]
    truth_run.write_shard("samples", "000", table("samples", rows))
    assert len(SampleDataset(data_config(truth_run)).index) == 2
    assert len(SampleDataset(data_config(truth_run, split="val", kinds=["frame_out"])).index) == 1
    strict = SampleDataset(data_config(truth_run, strict=True)).index
    assert len(strict) == 1 and strict.left_out == {"not in split train": 2, "whose event is not seen": 1}
    with pytest.raises(UsageError, match=r"no sample to train on in .*: .*2 shorter than 81 frames"):
        SampleDataset(data_config(truth_run, frames=[81]))
    with pytest.raises(UsageError, match="not a run folder"):
        SampleDataset(data_config(Path(truth_run.uri) / "videos"))


def test_stage_motion_takes_each_clip_and_start_frame_once(truth_run):
    rows = records(truth_run.read("samples"))
    rows.append(rows[0] | {"sample_id": "the same clip with another ID"})
    truth_run.write_shard("samples", "000", table("samples", rows))
    assert len(SampleDataset(data_config(truth_run)).index) == 3
    assert len(SampleDataset(data_config(truth_run, stage="motion")).index) == 2


def test_wrong_settings_are_refused_by_name():
    with pytest.raises(UsageError, match=r"frames: the video VAEs take 4N\+1 frames; 80 is not, 77 is"):
        data_config("x", frames=[80])
    with pytest.raises(UsageError, match="sizes: canvas sides are multiples of 16 px"):
        data_config("x", sizes=[[100, 176]])
    with pytest.raises(UsageError, match="named twice"):
        data_config("x", "x")


def test_a_row_is_read_without_the_rest_of_its_shard(tmp_path):
    run = RunFolder(tmp_path)
    blob = np.random.default_rng(0).bytes(300_000)
    run.write_shard("samples", "big", pa.table({"n": list(range(20)), "blob": [blob] * 20}))
    file = run.open_shard("samples", "big")
    assert file.num_row_groups > 4
    assert [file.read_row_group(i, ["n"])["n"][0].as_py() for i in range(2)] == [0, file.metadata.row_group(0).num_rows]


# Order and batches


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 30), st.sampled_from([0.3, 1.0, 2.5])), min_size=1, max_size=3),
    st.integers(1, 4),
    st.integers(0, 2**31),
)
def test_an_epoch_is_the_same_however_it_is_divided(manifests, bucket_count, seed):
    manifest_of = np.repeat(np.arange(len(manifests)), [size for size, _ in manifests])
    bucket_of = np.random.default_rng(seed).integers(0, bucket_count, len(manifest_of))
    config = data_config(*map(str, range(len(manifests))), weights=[weight for _, weight in manifests], seed=seed)
    order = epoch_order(manifest_of, config, 3)
    for position, (size, weight) in enumerate(manifests):
        times = Counter(order[manifest_of[order] == position].tolist())
        assert sum(times.values()) == max(1, round(weight * size))
        assert max(times.values()) - min(times.get(row, 0) for row in np.flatnonzero(manifest_of == position)) <= 1

    whole = epoch_batches(order, bucket_of, Share(batch_size=4))
    assert set(whole[..., 0].ravel()) == set(range(whole.shape[0] * 4))  # each index once, none left out
    assert all(len(set(bucket_of[batch[:, 1]])) == 1 for batch in whole)
    drawn = dict(whole.reshape(-1, 2).tolist())
    assert [drawn[at] for at in range(len(order))] == order.tolist()
    ranks = [epoch_batches(order, bucket_of, Share(1, rank, 2, accumulation=2)) for rank in range(2)]
    steps = np.concatenate([rank.reshape(-1, 2, 2) for rank in ranks], axis=1)
    assert [sorted(map(tuple, step.tolist())) for step in steps] == [sorted(map(tuple, b.tolist())) for b in whole]


def test_epochs_and_seeds_differ_and_repeat():
    manifest_of = np.zeros(50, int)
    orders = [epoch_order(manifest_of, data_config("x", seed=seed), epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(order) for order in orders}) == 4
    assert np.array_equal(orders[0], epoch_order(manifest_of, data_config("elsewhere"), 0))


# Feeders


def test_every_feeder_gives_the_same_samples(wide_run, private_cluster):
    dataset = SampleDataset(data_config(wide_run))
    assert len({dataset.index.bucket(row) for row in range(len(dataset))}) == 3
    plain = list(WorkerFeeder(dataset, Share(batch_size=2)))
    assert len(plain) == 3 and {batch["video"].shape[1] for batch in plain} == {9, 13, 21}

    workers = WorkerFeeder(dataset, Share(batch_size=2), workers=2)
    assert all(map(equal, plain, workers)) and len(plain) == len(workers)
    ray = RayFeeder(dataset, Share(batch_size=2), workers=2)
    assert all(map(equal, plain, ray)) and len(plain) == len(ray)
    again = WorkerFeeder(dataset, Share(batch_size=2))
    again.schedule.next_epoch()
    second = list(again)
    assert not equal(plain[0], second[0])
    assert all(map(equal, second, workers)) and all(map(equal, second, ray))

    ranks = [list(WorkerFeeder(dataset, Share(1, rank, 2))) for rank in range(2)]
    for batch, *parts in zip(plain, *ranks, strict=True):
        for place, part in enumerate(parts):
            assert equal(part_of(batch, place), part)


@pytest.mark.usefixtures("one_thread")
def test_a_run_is_the_same_fed_by_ray_data(truth_run, private_cluster, tmp_path):
    settings = ["data.sizes=[[32,64]]", "data.frames=[5]", "loop.steps=3", "loop.trackers=[]"]
    settings.append("validation={every: 2, split: train, videos: 0}")
    for feeder in ("workers", "ray"):
        config = load_config("tiny-wan", "inout", [truth_run.uri], None, [*settings, f"loop.feeder={feeder}"])
        run_training(config, tmp_path / feeder)
    assert read_metrics(tmp_path / "ray/metrics.jsonl") == read_metrics(tmp_path / "workers/metrics.jsonl")


@pytest.mark.parametrize("kind", [WorkerFeeder, RayFeeder])
def test_resumes_in_the_middle_of_an_epoch(wide_run, private_cluster, kind):
    dataset = SampleDataset(data_config(wide_run, sizes=[[32, 64]]))
    feeder = kind(dataset, Share(batch_size=2))
    straight = [*feeder, *feeder]
    interrupted = kind(dataset, Share(batch_size=2))
    first = [*interrupted, next(iter(interrupted))]
    state = interrupted.state_dict()
    assert state["epoch"] == 1 and state["samples"] == 2

    resumed = kind(dataset, Share(batch_size=2))
    resumed.load_state_dict(state)
    rest = list(resumed)
    assert len(first) + len(rest) == len(straight) == 6
    assert all(map(equal, straight, first + rest))

    rank = WorkerFeeder(dataset, Share(batch_size=1, rank=1, ranks=2))
    rank.load_state_dict(state)
    assert equal(next(iter(rank)), part_of(straight[4], 1))


def test_resuming_with_other_data_is_refused(wide_run):
    dataset = SampleDataset(data_config(wide_run))
    state = WorkerFeeder(dataset, Share(batch_size=2)).state_dict()
    with pytest.raises(UsageError, match="global batch of 2, this run has 3"):
        WorkerFeeder(dataset, Share(batch_size=3)).load_state_dict(state)
    other = SampleDataset(data_config(wide_run, drop_identity=0.5))
    with pytest.raises(UsageError, match="other samples or another data config"):
        WorkerFeeder(other, Share(batch_size=2)).load_state_dict(state)
    with pytest.raises(UsageError, match="no multiple of 2"):
        WorkerFeeder(dataset, Share(batch_size=2)).load_state_dict(state | {"samples": 3})


def test_feeding_leaves_the_global_random_state_alone(wide_run):
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    list(WorkerFeeder(SampleDataset(data_config(wide_run)), Share(batch_size=2)))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_a_broken_video_is_replaced_the_same_way_each_time_and_said(wide_run, caplog):
    dataset = SampleDataset(data_config(wide_run))
    rows = {dataset.index.read(row).video["video_id"]: row for row in range(len(dataset))}
    broken = Path(dataset.index.read(rows["exits_right"]).video["uri"])
    whole = broken.read_bytes()
    draw = Draw(4, 7, rows["exits_right"])
    try:
        broken.write_bytes(whole[: len(whole) // 2])
        with caplog.at_level(logging.WARNING):
            sample = dataset[draw]
        assert sample.replaces == dataset.index.sample_id(draw.row)
        assert sample.sample_id != sample.replaces and "enters_left" in sample.sample_id
        assert sample.video.shape == (*dataset.index.bucket(draw.row)[2:], 96, 176, 3)
        assert f"sample {sample.replaces} is broken and replaced" in caplog.text and broken.name in caplog.text
        again = SampleDataset(data_config(wide_run))[draw]
        assert again.sample_id == sample.sample_id and np.array_equal(again.video, sample.video)
        batches = list(WorkerFeeder(dataset, Share(batch_size=2)))
        assert sum(bool(name) for batch in batches for name in batch["replaces"]) == 3

        alone = SampleDataset(data_config(wide_run, kinds=["frame_out"]))
        with pytest.raises(VideoError, match="cannot be read"):
            alone[Draw(0, 0, 0)]
    finally:
        broken.write_bytes(whole)


def test_manifests_mix_by_weight(truth_run, wide_run, tmp_path):
    other = RunFolder(tmp_path / "other")
    for name in ("run.yaml", *truth_run.files("videos", ".parquet"), *truth_run.files("samples", ".parquet")):
        other.write_bytes(name, truth_run.read_bytes(name))
    dataset = SampleDataset(data_config(wide_run, other, weights=[1, 2]))
    order = epoch_order(dataset.index.manifest_of, dataset.config, 0)
    assert Counter(dataset.index.manifest_of[order].tolist()) == {0: 6, 1: 12}


def test_a_manifest_needs_a_positive_weight():
    with pytest.raises(ValueError, match="greater than 0"):
        ManifestConfig(run="x", weight=0)
