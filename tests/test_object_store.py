"""Runs from and into a real S3 server: the same manifests as on a disk, through outages and a second run's hands."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import polars as pl
import pyarrow.fs as pafs
import pytest
from typer.testing import CliRunner

from curation.__main__ import app
from curation.contract import storage
from curation.contract.errors import CurationError, StorageError
from curation.contract.manifest import RunFolder
from curation.contract.schemas import SCHEMAS
from curation.contract.storage import is_passing, open_filesystem, patiently
from curation.engine.run_lock import FILE
from curation.video.decode import analyse_frames
from curation.video.open import DecodeConfig
from tests.relay import Relay
from tests.s3_server import CREDENTIALS, SERVER, S3Server

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = [
    part
    for setting in (
        *("engine.name=inline", "start_frames.min_seconds=2", "samples.min_seconds=2"),
        *("rules.video_duration.min=2", "rules.duration.min=2"),
    )
    for part in ("--set", setting)
]


@pytest.fixture(scope="module")
def s3():
    if not SERVER.exists():
        pytest.skip("needs moto's server: make .venv-s3")
    with pytest.MonkeyPatch.context() as patch, S3Server() as server:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield server


def started(source: str, run: str, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "curation", "run", "--input", source, "--output", run, *OPTIONS, *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def curate(source: str, run: str, *options: str) -> str:
    """The same in this process."""
    command = ["run", "--input", source, "--output", run, *OPTIONS, *options]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def manifests(run: RunFolder) -> dict[str, list[str]]:
    """Rows as text, without where the source lies."""
    rows = {name: run.read(name).to_pylist() for name in SCHEMAS}
    return {name: sorted(repr(row | {"uri": None}) for row in rows[name]) for name in rows}


@pytest.fixture
def relay(s3):
    with Relay(s3.port) as relay:
        yield relay


def test_a_run_on_s3_equals_one_on_disk_and_resumes_through_an_outage(s3, relay, videos, tmp_path):
    curate(str(videos), str(tmp_path / "disk"))
    source, run = s3.uri("in", relay.port), RunFolder(s3.uri("run", relay.port))
    s3.upload(videos, "in")

    work = started(source, run.uri)
    while not run.shards("ledger/analyse"):
        assert work.poll() is None, work.communicate()
        time.sleep(0.05)
    with pytest.raises(CurationError, match="another run is at work here"):
        curate(source, run.uri)
    assert work.stderr is not None
    relay.cut()
    told = ""
    while "trying again in" not in told:  # at the latest for its next heartbeat
        told = work.stderr.readline()
        assert told, "it ended without the store"
    relay.open()
    _, told = work.communicate(timeout=250)
    assert work.returncode == 0, told
    assert "Traceback" not in told
    assert manifests(run) == manifests(RunFolder(tmp_path / "disk"))
    assert not run.exists(FILE)

    assert "nothing to do" in curate(source, run.uri)
    said = curate(source, run.uri, "--set", "captions.backend=template", "--set", "region_boxes.margin=0.1")
    assert "events, region_boxes, region_events, captions (region_boxes.margin: " in said
    curate(str(videos), str(tmp_path / "disk"), "--set", "region_boxes.margin=0.1")
    assert manifests(run) == manifests(RunFolder(tmp_path / "disk"))
    assert run.scan("samples").select(pl.len()).collect().item() == run.read("samples").num_rows


@pytest.mark.slow  # the store's client waits most of two minutes by itself before it says that nobody answers
def test_a_video_is_read_through_an_outage(s3, videos, monkeypatch):
    s3.upload(videos, "again")
    uri = RunFolder(s3.uri("again")).path("exits_left.mp4")
    with analyse_frames(uri, "video", DecodeConfig()) as frames:
        whole = sum(1 for _ in frames)
    s3.pause()
    threading.Timer(4, s3.resume).start()
    with analyse_frames(uri, "video", DecodeConfig()) as frames:
        assert sum(1 for _ in frames) == whole
    monkeypatch.setattr(storage, "PATIENCE_S", 0.1)
    s3.pause()
    try:
        with pytest.raises(StorageError, match=r"exits_left\.mp4: cannot be read"):
            analyse_frames(uri, "video", DecodeConfig()).__enter__()
    finally:
        s3.resume()


def test_what_will_not_pass_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("must not wait"))
    for error in (
        OSError(28, "No space left on device"),
        PermissionError(13, "Permission denied"),
        OSError("AWS Error ACCESS_DENIED during PutObject operation"),
        OSError("AWS Error NO_SUCH_BUCKET during CreateMultipartUpload operation"),
    ):
        assert not is_passing(error)

        def fail(error: OSError = error) -> None:
            raise error

        with pytest.raises(OSError, match=str(error.args[-1])[:20]):
            patiently(fail, "x")


def test_what_passes_is_tried_again(monkeypatch, caplog):
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    answers = iter([OSError("AWS Error NETWORK_CONNECTION"), OSError(5, "Input/output error"), None])

    def work() -> str:
        if error := next(answers):
            raise error
        return "done"

    assert patiently(work, "videos/a.parquet") == "done"
    assert waits == [0.5, 1.0]
    assert "videos/a.parquet: AWS Error NETWORK_CONNECTION; trying again in 0.5 s" in caplog.text


def test_other_schemes_go_through_fsspec(tmp_path):
    run = RunFolder("memory://runs/a")
    run.write_bytes("videos/a.txt", b"x")
    assert run.read_bytes("videos/a.txt") == b"x"
    assert run.path("samples/a.mp4") == "memory://runs/a/samples/a.mp4"
    assert isinstance(open_filesystem(f"file://{tmp_path}")[0], pafs.LocalFileSystem)
