"""The command line as a person meets it: help, exit codes, errors in one line."""

import io
import os
import subprocess
import sys
import time
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from curation.__main__ import app
from curation.contract.command_line import run_command

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("run", "select", "report", "inspect", "preview", "doctor")


def curation(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "curation", *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )


def one_line_error(*arguments: str) -> str:
    """What the command says, without a process for it."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(said), pytest.raises(SystemExit) as stop:
        patch.setattr("sys.argv", ["curation", *arguments])
        run_command(app)
    assert stop.value.code == 2, said.getvalue()
    (line,) = said.getvalue().strip().splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_imports_nothing_heavy(command):
    program = (
        "import sys\n"
        f"sys.argv = ['curation', *'{command} --help'.split()]\n"
        "from curation.__main__ import app\n"
        "try:\n    app()\n"
        "except SystemExit as stop:\n    assert stop.code == 0\n"
        "heavy = {'torch', 'ray', 'transformers', 'cv2', 'polars', 'onnxruntime'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def test_help_is_instant():
    seconds = []
    for _ in range(4):  # the first one compiles; the others may meet a busy machine
        started = time.perf_counter()
        result = curation("--help")
        seconds.append(time.perf_counter() - started)
        assert all(command in result.stdout for command in COMMANDS)
    assert min(seconds) < 1.0


def test_usage_errors_are_one_line_and_code_2(tmp_path):
    out = str(tmp_path / "run")
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "bad.yaml").write_text("rules: {text_aera: {max: 1}}")
    assert "nowhere" in one_line_error("run", "--input", str(tmp_path / "nowhere"), "--output", out)
    assert str(empty) in one_line_error("run", "--input", str(empty), "--output", out)
    assert "text_area" in one_line_error(
        "run", "--input", str(empty), "--output", out, "--config", str(tmp_path / "bad.yaml")
    )
    assert "rules.speed" in one_line_error("run", "--input", str(empty), "--output", out, "--set", "rules.sped.min=1")
    assert "laptop" in one_line_error("run", "--input", str(empty), "--output", out, "--preset", "labtop")
    assert not (tmp_path / "run").exists()
    for command in (["select", out], ["report", out], ["inspect", out], ["preview", out, "x", "-o", "x.mp4"]):
        assert out in one_line_error(*command)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_unreadable_folder(tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0)
    try:
        assert str(locked) in one_line_error("run", "--input", str(locked), "--output", str(tmp_path / "run"))
    finally:
        locked.chmod(0o700)


def test_an_output_that_holds_other_things_is_refused(tmp_path, clip_file):
    (tmp_path / "precious.txt").write_text("mine")
    result = curation("run", "--input", str(clip_file("still")), "--output", str(tmp_path))
    assert result.returncode == 2
    (message,) = result.stderr.strip().splitlines()
    assert message.startswith("error: ") and "not a run folder" in message
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]
