"""A Ray that does not start, or is not there: one line that says so, and soon."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from curation.engine import ray_data

ROOT = Path(__file__).resolve().parents[1]


def curate(clip: Path, run: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "curation", "run", "--input", str(clip), "--output", str(run)]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=60)


def test_a_cluster_that_is_not_there_is_named(clip_file, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"  # bound, and nobody listens
        result = curate(clip_file("enters_left"), tmp_path / "run", RAY_ADDRESS=address)
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith(f"error: RAY_ADDRESS={address}: nothing answers there")
    assert result.stderr.count("\n") == 1


def test_a_ray_that_cannot_start_is_one_line(clip_file, tmp_path):
    too_long = tmp_path / ("x" * 100)  # for the path of a socket
    too_long.mkdir()
    result = curate(clip_file("enters_left"), tmp_path / "run", RAY_ADDRESS="", RAY_TMPDIR=str(too_long))
    assert result.returncode == 1, result.stderr
    tried, failed = result.stderr.splitlines()
    assert "trying once more" in tried
    assert failed.startswith("error: Ray did not start, twice: ")


def test_a_ray_that_is_slow_to_start_is_started_once_more(monkeypatch, caplog):
    import ray

    tries = []

    def slow_at_first(**_: object) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise Exception("The current node timed out during startup.")  # as Ray does, and no other class

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", slow_at_first)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    ray_data.connect(workers=1)
    assert len(tries) == 2
    assert "The current node timed out" in caplog.text
