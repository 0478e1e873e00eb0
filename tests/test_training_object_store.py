"""Training from manifests and clips on a real S3 server: what is drawn is what the same run on a disk gives."""

from pathlib import Path

import numpy as np
import pytest

from curation.contract.manifest import RunFolder
from curation.contract.tables import records, table
from tests.s3_server import CREDENTIALS, SERVER, S3Server
from training.config import load_config
from training.data.dataset import SampleDataset
from training.data.schedule import Draw
from training.metrics import read_metrics
from training.run import run_training

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = ("data.sizes=[[32,64]]", "data.frames=[5]", "validation.every=0", "loop.trackers=[]", "loop.steps=2")


@pytest.fixture
def remote_run(truth_run, monkeypatch) -> str:
    """The true run with its clips, all on the server."""
    if not SERVER.exists():
        pytest.skip("needs moto's server: make .venv-s3")
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with S3Server() as server:
        videos, samples = records(truth_run.read("videos")), records(truth_run.read("samples"))
        server.upload(Path(videos[0]["uri"]).parent, "clips")
        for row in (*videos, *samples):
            row["uri"] = server.uri(f"clips/{Path(row['uri']).name}")
        run = RunFolder(server.uri("run"))
        run.write_shard("videos", "000", table("videos", videos))
        run.write_shard("samples", "000", table("samples", samples))
        run.write_bytes("run.yaml", truth_run.read_bytes("run.yaml"))
        yield run.uri


def test_manifests_and_clips_of_an_object_store_train_as_local_ones(truth_run, remote_run, tmp_path):
    here, there = (load_config("tiny-wan", "inout", [run], None, list(SMALL)) for run in (truth_run.uri, remote_run))
    local, remote = SampleDataset(here.data), SampleDataset(there.data)
    assert len(local) == len(remote) == 2
    for row in range(len(local)):
        one, other = local[Draw(1, row, row)], remote[Draw(1, row, row)]
        assert other.sample_id == one.sample_id and not other.replaces
        for name in ("video", "dot_places", "dot_pixels", "first_frame", "identity", "region_box"):
            assert np.array_equal(getattr(one, name), getattr(other, name))
    run_training(here, tmp_path / "local")
    run_training(there, tmp_path / "remote")
    assert read_metrics(tmp_path / "remote/metrics.jsonl") == read_metrics(tmp_path / "local/metrics.jsonl")
