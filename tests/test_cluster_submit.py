"""`python -m cluster submit` against a real Ray head: what is uploaded, logs, exit codes, Ctrl-C, a token."""

import fcntl
import os
import pty
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from diffusers import WanTransformer3DModel

from cluster.upload import exclude_patterns
from curation.contract.manifest import RunFolder

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
def head_folder():
    """Where a head keeps what it has. Its sockets need a short path."""
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def head(head_folder):
    """The address of a head of our own, which asks for a token."""
    port, dashboard, agent, client = free_ports(4)
    process = subprocess.Popen(
        [Path(sys.executable).with_name("ray"), "start", "--head", "--block", f"--port={port}", "--num-cpus=1",
         f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}",
         f"--ray-client-server-port={client}",
         f"--temp-dir={head_folder}", "--object-store-memory=100000000", "--disable-usage-stats"],
        env=os.environ | TOKEN, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    address = f"http://127.0.0.1:{dashboard}"
    try:
        wait_for(address, process)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)  # which ends all that the head has started
        process.wait(timeout=60)


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


def uploaded(head_folder, job):
    """Bytes of each file that a job's nodes were given, by name."""
    (package,) = re.findall(r"gcs://(_ray_pkg_[0-9a-f]+)\.zip", job)
    (folder,) = head_folder.glob(f"session_2*/runtime_resources/working_dir_files/{package}")
    return {file.relative_to(folder).as_posix(): file.stat().st_size for file in folder.rglob("*") if file.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("plain", [False, True], ids=["submit", "ray job submit"])
def test_a_run_from_a_folder_with_two_gigabytes_beside_the_code(head, head_folder, clip_file, tmp_path, plain):
    project, footage, run = tmp_path / "project", tmp_path / "footage", tmp_path / "run"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, tracked.stdout.split("\0")):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, project / name)
    for name in ("footage.dat", "archive/movie.mov"):
        (project / name).parent.mkdir(exist_ok=True)
        with (project / name).open("wb") as file:
            file.truncate(2 << 30)
    footage.mkdir()
    shutil.copy(clip_file("enters_left", frames=60), footage)

    command = [sys.executable, "-m", "curation", "run", "--input", footage, "--output", run]
    command += ["--preset", "everything"]
    if plain:
        words = [Path(sys.executable).with_name("ray"), "job", "submit", "--address", head, "--working-dir", project]
        words = [*words, "--", *command]
        job = subprocess.run(words, env=os.environ | TOKEN, capture_output=True, text=True, check=False, timeout=280)
        told = job.stdout + job.stderr
    else:
        job = submitted(head, project, *command)
        told = "".join(job.communicate(timeout=280))
    assert job.returncode == 0, told
    assert RunFolder(run).read("videos", ["error"]).num_rows == 1
    sizes = uploaded(head_folder, told)
    assert {"curation/__main__.py", "curation/configs/laptop.yaml"} <= sizes.keys()
    assert not {"footage.dat", "archive/movie.mov"} & sizes.keys()
    assert sum(sizes.values()) < 5 << 20, sorted(sizes.items(), key=lambda item: item[1])[-5:]


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
    assert "goes on; follow it: ray job logs --follow --address" in told
    assert f"stop it: ray job stop --address {head}" in told


WORK = """
import signal, sys, time
def stop(*_):
    print("putting things away", flush=True)
    time.sleep(4)
    print("put away", flush=True)
    sys.exit(1)
signal.signal(signal.SIGTERM, stop)
for step in range(600):
    print(f"step {step}.", flush=True)
    time.sleep(0.2)
"""


class Terminal:
    """`submit` on a terminal of its own, as a person sees it and types."""

    def __init__(self, head, folder):
        self.shown = ""
        self.ours, theirs = pty.openpty()
        words = [sys.executable, "-m", "cluster", "submit", "--address", head, "--working-dir", folder, "--"]
        self.process = subprocess.Popen(
            [*words, "python", "-c", WORK],
            cwd=ROOT, env=os.environ | TOKEN, stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)

    def until(self, text):
        deadline = time.monotonic() + 90
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self.ours], [], [], 1)[0]:
                try:
                    self.shown += os.read(self.ours, 65536).decode()
                except OSError:  # the other end is closed
                    assert text in self.shown, self.shown
        before, _, self.shown = self.shown.partition(text)
        return before

    def type(self, text):
        os.write(self.ours, text.encode())

    def ended(self):
        code = self.process.wait(timeout=60)
        os.close(self.ours)
        return code


def test_ctrl_c_asks_and_a_second_one_leaves_the_job_running(head, tmp_path):
    terminal = Terminal(head, tmp_path)
    seen = terminal.until("step 5.")
    terminal.type("\x03")
    seen += "step 5." + terminal.until("yes / no / keep following: ")
    terminal.type("keep\n")
    seen += terminal.until("step 20.")
    steps = [int(step) for step in re.findall(r"step (\d+)\.", seen)]
    assert steps == list(range(20))  # each once, in order, also those of the time in which it asked
    terminal.type("\x03")
    terminal.until("keep following: ")
    terminal.type("\x03")
    job = terminal.until(" goes on; follow it: ray job logs --follow").rpartition(" ")[2]
    assert terminal.ended() == 130
    status = [Path(sys.executable).with_name("ray"), "job", "status", "--address", head, job]
    said = subprocess.run(status, env=os.environ | TOKEN, capture_output=True, text=True, check=True)
    assert "RUNNING" in said.stdout + said.stderr
    stop = [Path(sys.executable).with_name("ray"), "job", "stop", "--no-wait", "--address", head, job]
    subprocess.run(stop, env=os.environ | TOKEN, capture_output=True, check=True)


def test_ctrl_c_and_yes_stops_the_job_and_gives_it_time_to_end(head, tmp_path):
    terminal = Terminal(head, tmp_path)
    terminal.until("step 1.")
    terminal.type("\x03")
    terminal.until("keep following: ")
    terminal.type("y\n")
    terminal.until("is being stopped")
    terminal.until("put away")
    assert terminal.ended() == 130


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


def test_what_plain_ray_leaves_out_is_what_submit_leaves_out(tmp_path):
    ignored = (ROOT / ".rayignore").read_text().splitlines()
    assert ignored[-len(exclude_patterns(tmp_path)) :] == exclude_patterns(tmp_path)


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
