"""One run at a time in a run folder, and how a run ends: by another's hand, by signal, by too many failures."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curation.__main__ import app
from curation.contract.errors import CurationError
from curation.contract.manifest import RunFolder
from curation.engine.budget import FailureBudget
from curation.engine.committer import commit_shard
from curation.engine.run_lock import FILE, STALE_S, RunLock, read_running
from curation.engine.shards import ItemReport

ROOT = Path(__file__).resolve().parents[1]


def test_the_second_run_refuses_and_says_who_is_there(tmp_path):
    run = RunFolder(tmp_path)
    with RunLock(run), pytest.raises(CurationError, match=rf"process {os.getpid()}, last sign of life \d s ago"):
        RunLock(run).__enter__()
    assert not run.exists(FILE)
    with RunLock(run):
        pass


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pid": 2**22 + 1}, "that process is gone"),
        ({"pid_started": 1.0}, "that process is gone"),  # the number belongs to another process by now
        ({"host": "elsewhere", "heartbeat": time.time() - STALE_S - 5}, "no sign of life for"),
    ],
)
def test_a_stale_lock_is_explained_and_taken(changes, said, tmp_path, caplog):
    run = RunFolder(tmp_path)
    left = asdict(RunLock(run).state) | changes
    run.write_bytes(FILE, json.dumps(left).encode())
    with RunLock(run):
        assert said in caplog.text
        assert "going on from what it committed" in caplog.text


def test_a_living_run_elsewhere_is_not_disturbed(tmp_path):
    run = RunFolder(tmp_path)
    run.write_bytes(FILE, json.dumps(asdict(RunLock(run).state) | {"host": "elsewhere", "pid": 1}).encode())
    with pytest.raises(CurationError, match="elsewhere, process 1"):
        RunLock(run).__enter__()


def test_the_heart_beats_and_notices_that_the_folder_was_taken(tmp_path):
    run = RunFolder(tmp_path)
    with RunLock(run, beat_s=0.05) as lock:
        lock.note(pass_name="analyse", items=7, done=3)
        began = lock.state.heartbeat
        wait_until(lambda: (read_running(run) or lock.state).done == 3)
        assert lock.state.heartbeat > began
        other = asdict(lock.state) | {"token": "other", "host": "elsewhere"}
        run.write_bytes(FILE, json.dumps(other).encode())
        with pytest.raises(CurationError, match=r"belongs to .*elsewhere"):
            wait_until(lambda: lock.note() is not None)
        with pytest.raises(CurationError, match="stops without writing"):
            commit_shard(run, "analyse", ("videos",), "s", "f", [({}, ItemReport("a", "/a", 1))], owner=lock.token)
    assert run.exists(FILE)  # it is the other's
    assert not run.shards("videos")


def wait_until(true) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def fail(budget: FailureBudget, count: int, state: str = "failed") -> None:
    for number in range(count):
        budget.count(ItemReport(f"v{number}", "", 0, state=state, detail="empty (0 bytes)"))


def test_a_share_of_failures_is_allowed_and_no_more():
    few = FailureBudget("5%", items=40)
    fail(few, 2)
    with pytest.raises(CurationError, match=r"3 of 3 items failed, more than --max-failed 5% .*v0: empty"):
        fail(few, 1)
    many = FailureBudget("5%", items=1_000_000)
    fail(many, 5)
    fail(many, 195, "done")
    fail(many, 5)  # 10 of 205
    with pytest.raises(CurationError, match="11 of 206"):
        fail(many, 1)
    resumed = FailureBudget("10", items=20, done=15, failed=10)
    with pytest.raises(CurationError, match="11 of 16"):
        fail(resumed, 1)
    fail(FailureBudget(None, items=5), 5)


# Little work per video, one after the other.
QUICK = ["engine.name=inline", "shots.backend=pyscenedetect", "rules.duration.min=50"]
OPTIONS = [part for setting in QUICK for part in ("--set", setting)]


@pytest.fixture(scope="module")
def videos(clip_file, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number in range(12):
        shutil.copy(clip_file("pan", frames=60), folder / f"pan{number}.mp4")
    return folder


def started(videos: Path, run: Path, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "curation", "run", "--input", str(videos), "--output", str(run), *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def curate(videos: Path, run: Path, *options: str) -> str:
    """The same in this process."""
    command = ["run", "--input", str(videos), "--output", str(run), *options]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_nothing_behind_and_goes_on(stop, videos, tmp_path):
    run = RunFolder(tmp_path / "run")
    work = started(videos, tmp_path / "run", *OPTIONS)
    try:
        wait_until_done(work, lambda: len(run.shards("ledger/analyse")) >= 1)
        assert status_of(run).startswith(f"{run.uri}: at work for")
        with pytest.raises(CurationError, match="another run is at work here"):
            curate(videos, tmp_path / "run")
    finally:
        work.send_signal(stop)
        _, told = work.communicate(timeout=60)
    assert work.returncode == 130
    assert "run the same command again to go on" in told
    assert "not complete: run the same command again" in status_of(run)
    assert not run.exists(FILE)
    assert not list((tmp_path / "run").rglob("*.partial"))
    done = len(run.shards("ledger/analyse"))
    assert 1 <= done < 12
    said = curate(videos, tmp_path / "run", *OPTIONS)
    assert f"analyse: {12 - done} of 12 videos to do: {12 - done} new" in said


def status_of(run: RunFolder) -> str:
    result = CliRunner().invoke(app, ["status", run.uri])
    assert result.exit_code == 0, result.output
    return result.output


def test_status_of_a_run_that_died(tmp_path):
    run = RunFolder(tmp_path)
    run.write_bytes("run.yaml", b"preset: laptop")
    lock = RunLock(run)
    lock.note(pass_name="analyse", items=1200, done=300, failed=2, pass_started=time.time() - 600)
    lock._write()
    run.write_bytes("ledger/attempts/analyse-slow-1", json.dumps({"causes": [], "session": "s", "started": 0}).encode())
    reports = [ItemReport("a", "/a", 1, seconds=90), ItemReport("b", "/b", 1, state="failed", detail="b.mp4: empty")]
    commit_shard(run, "analyse", ("videos",), "analyse-1", "f", [({}, report) for report in reports])
    said = status_of(run)
    # Seconds may pass until it is asked.
    assert re.search(
        r"analyse: 300 of 1200, 2 failed, 10 min \d+ s, (30\.0|29\.\d) a minute, about 30 min \d+ s to go", said
    )
    assert "in work: analyse: slow-1" in said
    assert "analyse: failed: b: b.mp4: empty" in said
    run.write_bytes(FILE, json.dumps(asdict(lock.state) | {"pid": 2**22 + 1}).encode())
    assert "ended without a word" in status_of(run)


def wait_until_done(work: subprocess.Popen, true) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        assert work.poll() is None
        time.sleep(0.02)


def test_too_many_failures_stop_the_run(tmp_path, clip_file):
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy(clip_file("pan", frames=60), folder / "z.mp4")
    for number in range(3):
        (folder / f"bad{number}.mp4").write_text("no video")
    work = started(folder, tmp_path / "run", *OPTIONS, "--max-failed", "50%")
    _, told = work.communicate(timeout=60)
    assert work.returncode == 1
    assert "3 of 3 items failed, more than --max-failed 50%" in told.splitlines()[-1]
    assert "Traceback" not in told
    assert "1 of 4 videos to do" in curate(folder, tmp_path / "run", *OPTIONS, "--max-failed", "3")


FULL_DISK = """
mount -t tmpfs -o size=2m tmpfs {folder} || exit 77
mkdir {folder}/run
dd if=/dev/zero of={folder}/filler bs=1k count=1960 2>/dev/null
{python} -m curation run --input {videos} --output {folder}/run {options}
code=$?
find {folder}/run -name '*.partial'
rm {folder}/filler
{python} -m curation run --input {videos} --output {folder}/run {options} || exit 78
exit $code
"""


def test_a_full_disk_ends_the_run_and_room_lets_it_go_on(videos, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    script = FULL_DISK.format(folder=disk, python=sys.executable, videos=videos, options=" ".join(OPTIONS))
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("needs unshare, to mount a small disk")
    work = subprocess.run(
        [unshare, "--mount", "--map-root-user", "sh", "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if work.returncode == 77 or "unshare failed" in work.stderr:
        pytest.skip("may not mount a small disk here")
    assert work.returncode == 1, work.stderr
    assert "No space left on device" in work.stderr
    assert "put that right and run again" in work.stderr
    assert "Traceback" not in work.stderr
    assert ".partial" not in work.stdout
    assert "12 videos, 0 could not be read" in work.stdout


def test_the_host_is_named_as_it_names_itself(tmp_path):
    assert RunLock(RunFolder(tmp_path)).state.host == socket.gethostname()
