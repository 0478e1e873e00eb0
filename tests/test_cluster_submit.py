"""`python -m cluster submit` against a real Ray head: what is uploaded, logs, exit codes, Ctrl-C, a token."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from diffusers import WanTransformer3DModel

from cluster.upload import exclude_patterns

ROOT = Path(__file__).resolve().parents[1]
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="module")
def head():
    """The address of a head of our own, which asks for a token. Its sockets need a short path."""
    port, dashboard, agent, client = free_ports(4)
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")
    process = subprocess.Popen(
        [Path(sys.executable).with_name("ray"), "start", "--head", "--block", f"--port={port}", "--num-cpus=1",
         f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}",
         f"--ray-client-server-port={client}",
         f"--temp-dir={folder}", "--object-store-memory=100000000", "--disable-usage-stats"],
        env=os.environ | TOKEN, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    address = f"http://127.0.0.1:{dashboard}"
    try:
        wait_for(address, process)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)  # which ends all that the head has started
        process.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(address, process):
    deadline = time.monotonic() + 120
    request = urllib.request.Request(
        f"{address}/api/version", headers={"Authorization": f"Bearer {TOKEN['RAY_AUTH_TOKEN']}"}
    )
    while True:
        assert process.poll() is None
        try:
            urllib.request.urlopen(request, timeout=5).close()
            return
        except urllib.error.URLError:
            assert time.monotonic() < deadline
            time.sleep(0.3)


def submitted(address, folder, *command, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "cluster", "submit", "--address", address, "--working-dir", folder, "--", *command],
        cwd=ROOT,
        env=os.environ | TOKEN | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_job_runs_with_the_code_but_not_the_data(head, tmp_path):
    (tmp_path / "work.py").write_text("import os, sys\nprint(sorted(os.listdir()))\nprint(sys.argv[1])\nsys.exit(3)\n")
    (tmp_path / "clip.mp4").write_bytes(b"media")
    (tmp_path / "big [1].txt").write_bytes(b"x" * (6 << 20))
    (tmp_path / "ignored.txt").write_text("")
    (tmp_path / ".gitignore").write_text("ignored.txt\n")
    job = submitted(head, tmp_path, "python", "work.py", "two words")
    said, told = job.communicate(timeout=120)
    assert "['.gitignore', 'work.py']\ntwo words\n" in said, told
    assert job.returncode == 3


@pytest.mark.slow
@pytest.mark.parametrize("workers", [(), ("--ray-workers", "1")])
def test_training_runs_as_a_job_from_the_uploaded_code(head, truth_run, tmp_path, workers):
    settings = ("data.sizes=[[32,64]]", "data.frames=[5]", "validation.every=0", "loop.trackers=[]")
    chosen = [word for setting in (*settings, "loop.log_every=1") for word in ("--set", setting)]
    training = [sys.executable, "-m", "training", "run", "--manifest", truth_run.uri, "--model", "tiny-wan"]
    training += ["--stage", "inout", "--output", tmp_path / "run", *workers, *chosen]
    job = submitted(head, ROOT, *training, "--set", "loop.steps=2")
    said, told = job.communicate(timeout=280)
    assert job.returncode == 0, said + told
    assert "step 2/2: loss" in said
    WanTransformer3DModel.from_pretrained(tmp_path / "run/checkpoints/latest/transformer")

    job = submitted(head, ROOT, *training, "--set", "loop.step=2")
    said, _ = job.communicate(timeout=120)
    assert job.returncode == 2
    assert "did you mean 'loop.steps'" in said


def test_ctrl_c_without_a_terminal_lets_the_job_go_on(head, tmp_path):
    job = submitted(head, tmp_path, "python", "-uc", "import time; print('running'); time.sleep(5)")
    assert "running\n" in iter(job.stdout.readline, "")  # after what Ray says itself
    job.send_signal(signal.SIGINT)
    _, told = job.communicate(timeout=60)
    assert job.returncode == 130
    assert "goes on; stop it by: ray job stop" in told


def test_a_head_that_refuses_or_is_not_there_is_named(head, tmp_path):
    for address, token, expected in (
        (head, "0" * 64, "set RAY_AUTH_MODE=token"),
        ("http://127.0.0.1:1", TOKEN["RAY_AUTH_TOKEN"], "Name the head's dashboard"),
    ):
        job = submitted(address, tmp_path, "true", RAY_AUTH_TOKEN=token)
        _, told = job.communicate(timeout=60)
        assert job.returncode == 1
        assert expected in told.splitlines()[-1]


def test_only_big_files_are_named_one_by_one(tmp_path):
    (tmp_path / "small").write_bytes(b"")
    (tmp_path / "large").write_bytes(b"x" * (6 << 20))
    assert [pattern for pattern in exclude_patterns(tmp_path) if pattern.startswith("/")] == ["/large"]


def test_help_imports_nothing_heavy():
    program = (
        "import sys\n"
        "sys.argv = ['cluster', 'submit', '--help']\n"
        "from cluster.__main__ import app\n"
        "try:\n    app()\n"
        "except SystemExit as stop:\n    assert stop.code == 0\n"
        "heavy = {'torch', 'ray', 'polars'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
