"""Curated samples become requests that show and move the same."""

import numpy as np
import pytest

from curation.contract.errors import UsageError
from curation.contract.manifest import open_run
from curation.contract.tables import records
from inference.conditions import preview_conditions
from inference.from_sample import read_sample, request_from_sample
from inference.request import load_request


@pytest.fixture
def samples(truth_run):
    run = open_run(truth_run.uri)
    return run, {row["kinds"]: row for row in records(run.read("samples"))}


def test_a_frame_in_sample_becomes_a_request(samples, tmp_path):
    run, rows = samples
    sample = rows["frame_in"]
    request = request_from_sample(run, sample, "tiny-wan", tmp_path / "in", seed=3)
    assert load_request(tmp_path / "in" / "request.yaml") == request
    assert request.size == (192, 128) and request.seed == 3
    assert request.prompt == sample["caption"]
    x0, y0, x1, y1 = np.multiply(sample["region_boxes"][0], [192 / sample["width"], 128 / sample["height"]] * 2)
    assert request.region_box == pytest.approx((x0, y0, x1, y1), abs=1)

    stride = round(sample["fps"] / 12)
    assert request.fps == pytest.approx(sample["fps"] / stride)
    track = request.tracks()[0]
    truth = np.asarray(sample["objects"][0]["points"])[::stride][: request.num_frames]
    expected = (truth + 0.5) * [192 / sample["width"], 128 / sample["height"]] - 0.5
    assert track.shape[0] == len(expected)
    distances = np.abs(track[:, :, None] - expected[:, None]).max(axis=3)  # [T, ours, theirs]
    assert (distances.max(axis=0).min(axis=1) < 0.06).all()

    seen = preview_conditions(request)
    assert seen.identities.shape[0] == 1 and seen.identities.any()
    assert (seen.trajectories < 200).any()


def test_a_frame_out_sample_brings_nothing_in(samples, tmp_path):
    run, rows = samples
    request = request_from_sample(run, rows["frame_out"], "tiny-cogvideox", tmp_path / "out")
    assert not any(item.identities for item in request.objects)
    assert not (tmp_path / "out" / "identity.png").exists()
    assert not preview_conditions(request).identities.any()


def test_models_without_identity_get_none(samples, tmp_path):
    run, rows = samples
    request = request_from_sample(run, rows["frame_in"], "cogvideox-5b-motion", tmp_path / "motion")
    assert request.size == (720, 480) and not any(item.identities for item in request.objects)


def test_short_samples_get_as_many_frames_as_there_are(samples, tmp_path):
    run, rows = samples
    sample = rows["frame_in"]
    stride = round(sample["fps"] / 12)
    short = sample | {"end_frame": sample["start_frame"] + 11 * stride}
    request = request_from_sample(run, short, "tiny-wan", tmp_path / "short")
    assert request.num_frames == 9
    with pytest.raises(UsageError, match="5 is the least"):
        request_from_sample(
            run, sample | {"end_frame": sample["start_frame"] + 2 * stride}, "tiny-wan", tmp_path / "no"
        )


def test_unknown_samples_are_named(samples):
    run, rows = samples
    name = rows["frame_in"]["sample_id"]
    assert read_sample(run, name)["sample_id"] == name
    with pytest.raises(UsageError, match=f"did you mean '{name}'"):
        read_sample(run, name[:-1] + "9")
