"""`python -m inference` as a person meets it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def inference(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "inference", *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )


@pytest.mark.parametrize("command", ["", "generate", "batch", "app", "inspect", "doctor", "from-sample"])
def test_help_imports_nothing_heavy(command):
    program = (
        "import sys\n"
        f"sys.argv = ['inference', *'{command} --help'.split()]\n"
        "from inference.__main__ import app\n"
        "try:\n    app()\n"
        "except SystemExit as stop:\n    assert stop.code == 0\n"
        "heavy = {'torch', 'ray', 'transformers', 'diffusers', 'cv2', 'polars'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def test_help_is_instant():
    inference("--help")  # compile
    started = time.perf_counter()
    result = inference("--help")
    assert time.perf_counter() - started < 1
    assert all(command in result.stdout for command in ("generate", "batch", "inspect", "doctor", "from-sample"))


def test_errors_are_one_line_and_code_2(tmp_path):
    (tmp_path / "bad.yaml").write_text("first_frame: {picture: no.png, width: 64, height: 64}\nprompd: x\n")
    result = inference("generate", str(tmp_path / "bad.yaml"), "-o", str(tmp_path / "out.mp4"))
    assert result.returncode == 2 and len(result.stderr.strip().splitlines()) == 1
    assert "no.png" in result.stderr and "'prompt'" in result.stderr
