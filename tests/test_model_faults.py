"""What a person reads when a model is missing, broken or too large; and that the run goes on or ends, as configured."""

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from curation.__main__ import app
from curation.contract.errors import BackendUnavailableError, CurationError, ModelError
from curation.contract.manifest import RunFolder
from curation.models.device import loading, working
from curation.models.masks import MasksConfig, build_masks
from curation.models.objects import ObjectsConfig, build_detector
from curation.models.tracking import TrackingConfig, build_tracker
from curation.models.weights import find_weights

pytestmark = pytest.mark.usefixtures("one_thread")

PINNED = "1" * 40
OTHER = "2" * 40


def complaint(build) -> str:
    with pytest.raises(BackendUnavailableError) as caught:
        build()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def cache(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def sam2(**settings):
    return build_masks(MasksConfig(backend="sam2", sam2=settings))


class TestWhatIsMissing:
    def test_a_package(self, monkeypatch):
        monkeypatch.setattr("curation.models.packages.find_spec", lambda module: None)
        text = complaint(lambda: build_detector(ObjectsConfig(backend="panoptic")))
        assert "it needs the package transformers; run: pip install transformers" in text
        assert "--set objects.detector.backend=motion" in text

    def test_code_that_is_on_no_index(self, tmp_path):
        text = complaint(lambda: build_tracker(TrackingConfig(backend="cotracker3")))
        assert "git clone https://github.com/facebookresearch/co-tracker" in text
        settings = {"code": str(tmp_path)}
        text = complaint(lambda: build_tracker(TrackingConfig(backend="cotracker3", cotracker3=settings)))
        assert f"cotracker.predictor in the checkout {tmp_path}" in text

    def test_weights(self, cache):
        text = complaint(lambda: sam2())
        assert "the weights facebook/sam2.1-hiera-large at revision 665f8e2" in text
        assert "run: hf download facebook/sam2.1-hiera-large --revision 665f8e2" in text
        assert str(cache) in text

    def test_a_folder(self, tmp_path):
        assert f"{tmp_path}/nowhere; no such file or folder" in complaint(lambda: sam2(weights=f"{tmp_path}/nowhere"))

    def test_the_revision(self, cache):
        (cache / "models--owner--name" / "snapshots" / OTHER).mkdir(parents=True)
        text = complaint(lambda: sam2(weights="owner/name", revision=PINNED))
        assert f"the weights owner/name at revision {PINNED}; here are only {OTHER}" in text

    def test_a_part_of_the_weights(self, cache):
        folder = cache / "models--owner--name" / "snapshots" / PINNED
        folder.mkdir(parents=True)
        assert "any file of weights is missing" in complaint(lambda: sam2(weights="owner/name", revision=PINNED))
        index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        (folder / "model-1.safetensors").touch()
        text = complaint(lambda: sam2(weights="owner/name", revision=PINNED))
        assert "model-2.safetensors is missing" in text

    def test_unpinned_weights_are_those_that_main_meant_when_they_were_fetched(self, cache):
        for commit in (PINNED, OTHER):
            folder = cache / "models--owner--name" / "snapshots" / commit
            folder.mkdir(parents=True)
            (folder / "model.safetensors").touch()
        (cache / "models--owner--name" / "refs").mkdir()
        (cache / "models--owner--name" / "refs" / "main").write_text(OTHER)
        config = MasksConfig(backend="sam2", sam2={"weights": "owner/name", "revision": None}).sam2
        assert find_weights("sam2", config).name == OTHER
        named = sam2(weights="owner/name", revision=None).name
        assert named == f"sam2 owner/name@{OTHER} config {config.fingerprint()}", "manifests say which it was"


def test_names_in_manifests_say_backend_weights_revision_and_config(tiny_model, cache):
    folder = cache / "models--facebook--sam2.1-hiera-large" / "snapshots"
    folder.mkdir(parents=True)
    (folder / "665f8e2ad61cf5f53d65644ff27c8ee525124610").symlink_to(tiny_model("sam2"))
    config = MasksConfig(backend="sam2").sam2
    assert sam2().name == (
        f"sam2 facebook/sam2.1-hiera-large@665f8e2ad61cf5f53d65644ff27c8ee525124610 config {config.fingerprint()}"
    )
    assert sam2(dtype="bfloat16").name != sam2().name
    local = tiny_model("sam2")
    assert sam2(weights=str(local)).name.startswith(f"sam2 {local}@local config ")


def test_weights_of_another_model_are_named(tiny_model):
    from tests.test_backend_contract import SIZES, make_clip

    detector = build_detector(ObjectsConfig(backend="panoptic", panoptic={"weights": str(tiny_model("sam2"))}))
    text = complaint(lambda: detector.detect(make_clip(*SIZES[0]), [0]))
    assert "weights that load" in text
    assert str(tiny_model("sam2")) in text


def test_a_device_that_is_not_here(tiny_model):
    from tests.test_backend_contract import SIZES, make_clip

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    settings = {"weights": str(tiny_model("mask2former")), "device": "cuda:1"}
    detector = build_detector(ObjectsConfig(backend="panoptic", panoptic=settings))
    assert "device=cuda:1: PyTorch sees no such device here" in complaint(
        lambda: detector.detect(make_clip(*SIZES[0]), [0])
    )


class TestOutOfMemory:
    @pytest.mark.parametrize(
        "fill",
        [
            lambda: torch.empty(1 << 60),
            lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")),
            lambda: (_ for _ in ()).throw(RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)")),
            lambda: (_ for _ in ()).throw(MemoryError()),
        ],
        ids=["cpu", "cuda", "mps", "python"],
    )
    def test_one_line_with_what_to_set(self, fill):
        with (
            pytest.raises(ModelError, match=r"^panoptic: out of memory on cpu; set batch_size lower$"),
            working("panoptic", torch.device("cpu"), "set batch_size lower"),
        ):
            fill()

    def test_other_errors_pass(self):
        with pytest.raises(RuntimeError, match="shape"), working("sam2", torch.device("cpu"), ""):
            raise RuntimeError("shape")

    def test_while_loading(self):
        with pytest.raises(ModelError, match="out of memory while loading /weights"), loading("qwen", "/weights"):
            torch.empty(1 << 60)


# A whole run under these troubles: one clip, masks from the tiny SAM 2, captions from a server on this machine.


@pytest.fixture(scope="module")
def videos(clip_file, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name in ("enters_left", "exits_right"):
        shutil.copy(clip_file(name, frames=48), folder / f"{name}.mp4")
    return folder


@pytest.fixture
def caption_server():
    """An address whose answers are HTTP `status[0]`."""
    status = [500]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer = {"choices": [{"message": {"content": "A red car comes in from the left"}}]}
            data = json.dumps(answer).encode() if status[0] == 200 else b"boom"
            self.send_response(status[0])
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1", status
    server.shutdown()
    server.server_close()
    thread.join()


def curate(source: Path, run: Path, *settings: str):
    command = ["run", "--input", str(source), "--output", str(run), "--preset", "everything"]
    command += [part for setting in ("engine.name=inline", *settings) for part in ("--set", setting)]
    return CliRunner().invoke(app, command)


def served(url: str) -> tuple[str, ...]:
    fast = ("captions.server.attempts=2", "captions.server.backoff_s=0", "captions.server.media=images")
    return ("captions.backend=server", f"captions.server.url={url}", *fast)


def test_a_caption_server_in_trouble_marks_the_clips_and_the_next_run_tries_them_again(
    videos, caption_server, tmp_path
):
    url, status = caption_server
    result = curate(videos, tmp_path / "run", *served(url))
    assert result.exit_code == 0, result.output
    assert "2 items met errors of models; the next run tries them again" in result.output
    verdicts = pl.read_parquet(tmp_path / "run" / "verdicts" / "*.parquet")
    clips = verdicts.filter(pl.col("level") == "clip")
    assert clips["rule"].to_list() == ["failed"] * 2
    # Once a clip was given up, the next one is asked about once: the server is down.
    for tries, reason in zip(("2 attempts", "1 attempt"), sorted(clips["reason"], reverse=True), strict=True):
        assert f"no caption after {tries}; the last: HTTP 500: boom" in reason

    status[0] = 200
    result = curate(videos, tmp_path / "run", *served(url))
    assert result.exit_code == 0, result.output
    clips = RunFolder(tmp_path / "run").read("clips")
    assert clips["caption"].to_pylist() == ["A red car comes in from the left"] * 2
    assert all(
        name.startswith("server Qwen/Qwen2.5-VL-32B-Instruct config ") for name in clips["caption_model"].to_pylist()
    )
    assert "nothing to do" in curate(videos, tmp_path / "run", *served(url)).output


def test_on_error_stop_ends_the_run_in_one_line_and_what_was_done_stays_undone(videos, caption_server, tmp_path):
    url, status = caption_server
    result = curate(videos, tmp_path / "run", *served(url), "engine.on_error=stop")
    assert isinstance(result.exception, CurationError)
    text = str(result.exception)
    assert text.startswith("label stopped: ")
    assert ".mp4: caption server" in text
    assert "\n" not in text
    assert RunFolder(tmp_path / "run").shards("ledger/label") == []

    status[0] = 200
    result = curate(videos, tmp_path / "run", *served(url), "engine.on_error=stop")
    assert result.exit_code == 0, result.output
    assert RunFolder(tmp_path / "run").read("clips")["caption"].null_count == 0


def test_memory_that_runs_out_costs_the_clip(videos, tiny_model, tmp_path, monkeypatch):
    from curation.models.objects.panoptic import PanopticDetector

    whole = PanopticDetector._segment

    def greedy(self, pictures):
        torch.empty(1 << 60)
        return whole(self, pictures)

    monkeypatch.setattr(PanopticDetector, "_segment", greedy)
    weights = f"objects.detector.panoptic.weights={tiny_model('mask2former')}"
    result = curate(videos, tmp_path / "run", "objects.detector.backend=panoptic", weights)
    assert result.exit_code == 0, result.output
    verdicts = pl.read_parquet(tmp_path / "run" / "verdicts" / "*.parquet")
    reasons = verdicts.filter(pl.col("level") == "clip")["reason"].to_list()
    assert (
        reasons
        == ["labelling failed: panoptic: out of memory on cpu; set objects.detector.panoptic.batch_size lower"] * 2
    )


def test_weights_that_do_not_load_end_the_run_even_with_drop(videos, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{}")
    settings = ("objects.detector.backend=panoptic", f"objects.detector.panoptic.weights={broken}")
    result = curate(videos, tmp_path / "run", *settings)
    assert isinstance(result.exception, CurationError)
    assert "label stopped: backend 'panoptic' is not available: it needs weights that load" in str(result.exception)
    assert "\n" not in str(result.exception)


def test_missing_weights_end_the_run_before_it_begins(videos, tmp_path, cache):
    result = curate(videos, tmp_path / "run", "objects.masks.backend=sam2")
    assert isinstance(result.exception, BackendUnavailableError)
    assert not (tmp_path / "run").exists()
