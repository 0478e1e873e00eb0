"""`python -m eval run` with the full preset's backends: tiny random weights in local folders, servers that fail."""

import json
import shutil
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from curation.contract.errors import CurationError
from curation.contract.manifest import RunFolder
from curation.contract.tables import records
from eval.config import load_config
from eval.report.tables import markdown
from eval.run import run_evaluation
from eval.schemas import SCHEMAS, SCORES
from eval.summary import RunScores, read_scores

pytestmark = pytest.mark.usefixtures("one_thread")

STAND_INS = Path(__file__).parent / "stand_ins"
SMALL = ["engine.name=inline", "comparison.height=112", "comparison.width=160"]


@pytest.fixture
def theirs(bench: RunFolder, tmp_path: Path) -> Path:
    """The ground truth as another tool's output."""
    folder = tmp_path / "theirs"
    shutil.copytree(tmp_path / "bench" / "media", folder)
    return folder


@pytest.fixture
def forget_stand_ins():
    yield
    for name, module in list(sys.modules.items()):
        if str(STAND_INS) in str(getattr(module, "__file__", None) or getattr(module, "__path__", "")):
            del sys.modules[name]


def evaluate(theirs: Path, bench: RunFolder, output: Path, *settings: str, preset: str = "embedded") -> int:
    return run_evaluation(str(theirs), str(output), load_config(preset, None, list(settings)), None, bench.uri)


def rows_of(output: Path) -> list[dict]:
    return records(RunFolder(output).read(SCORES, schema=SCHEMAS[SCORES]))


def result(scores: RunScores, key: str, kind: str = "frame_in"):
    (found,) = [item for item in scores.results[kind] if item.measure.key == key and "videomae" not in item.backend]
    return found


class TestFullPreset:
    @pytest.fixture
    def weights(self, tiny_model, tmp_path: Path) -> list[str]:
        """Every backend of the full preset but Inception, whose package is no requirement: see `test_inception`.

        Folders are named like the published repositories, which is all that is known of a local copy.
        """
        places = {}
        for name, published in (("sam2", "sam2.1-hiera-large"), ("qwen2_5_vl", "Qwen2.5-VL-32B-Instruct")):
            places[name] = shutil.copytree(tiny_model(name), tmp_path / "weights" / published)
        places["dinov2"] = save_dinov2(tmp_path / "weights" / "dinov2-base")
        save_videomae(tmp_path / "weights" / "videomae")
        save_i3d(tmp_path / "weights" / "i3d_torchscript.pt")
        torch.save({"weight": torch.zeros(1)}, tmp_path / "weights" / "scaled_offline.pth")
        return [
            f"tracking.cotracker3.weights={tmp_path / 'weights' / 'scaled_offline.pth'}",
            f"tracking.cotracker3.code={STAND_INS / 'co-tracker'}",
            f"masks.sam2.weights={places['sam2']}",
            f"look.dinov2.weights={places['dinov2']}",
            "fid.backend=dinov2",
            f"fid.dinov2.weights={places['dinov2']}",
            f"fvd.i3d.weights={tmp_path / 'weights' / 'i3d_torchscript.pt'}",
            f"fvd.videomae.weights={tmp_path / 'weights' / 'videomae'}",
            "perceptual.network=squeeze",
            f"vlm.transformers.weights={places['qwen2_5_vl']}",
        ]

    @pytest.fixture(autouse=True)
    def trunk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """LPIPS's network, whose weights torchvision would fetch."""
        import torchvision

        checkpoints = tmp_path / "hub" / "checkpoints"
        checkpoints.mkdir(parents=True)
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        torch.manual_seed(0)
        torch.save(torchvision.models.squeezenet1_1().state_dict(), checkpoints / "squeezenet1_1-b8a52dc0.pth")

    def test_it_is_comparable_with_the_paper_and_the_embedded_one_is_not(
        self, theirs, bench, weights, tmp_path, forget_stand_ins
    ):
        assert evaluate(theirs, bench, tmp_path / "full", "engine.name=inline", *weights, preset="full") == 0
        for row in rows_of(tmp_path / "full"):
            assert row["error"] is None and row["vlm_error"] is None
            assert row["trajectory_error"] == 0 and row["vseg_mae_pixels"] == 0 and row["perceptual_distance"] == 0
            assert row["vlm_unparsable"] == 1  # a random model speaks of red cars
            assert row["track_backend"].startswith("cotracker3 ") and "sam2.1-hiera-large" in row["mask_backend"]
        full = read_scores(str(tmp_path / "full"))
        made = {"trajectory_error", "vseg_mae_count", "relative_similarity", "perceptual_distance", "fvd"}
        made |= {"vlm_success"}
        assert {item.measure.key for item in full.results["frame_in"] if item.comparable} == made
        assert result(full, "vlm_success").value == 0 and result(full, "vlm_unparsable").value == 1
        titles = {full.title(item.measure, "frame_in") for item in full.results["frame_in"]}
        assert {"LPIPS", "Rel DINO", "FVD", "Fréchet distance, frames"} <= titles
        assert {item.backend.split()[0] for item in full.results["frame_in"] if item.measure.key == "fvd"} == {
            "i3d",
            "videomae",
        }

        assert evaluate(theirs, bench, tmp_path / "embedded", *SMALL) == 0
        embedded = read_scores(str(tmp_path / "embedded"))
        assert not any(item.comparable for kind in embedded.results for item in embedded.results[kind])
        text = markdown([full, embedded])
        own, other = (
            next(line for line in text.splitlines() if line.startswith(f"| Traj Err (px) ↓ [{name}"))
            for name in ("cotracker3", "lucas")
        )
        assert "0.00" in own and r"\*" not in own and "10.37" in own
        assert r"0.00\*" in other and "10.37" not in other

        facts = yaml.safe_load((tmp_path / "full" / "eval.yaml").read_text())
        facts["config"]["comparison"]["frames_in"] = 12  # as if only so many had been compared
        (tmp_path / "full" / "eval.yaml").write_text(yaml.safe_dump(facts))
        other = read_scores(str(tmp_path / "full"))
        assert not result(other, "trajectory_error").comparable
        assert result(other, "trajectory_error", "frame_out").comparable


def save_dinov2(folder: Path) -> Path:
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 14}
    Dinov2Model(Dinov2Config(image_size=224, **sizes)).save_pretrained(folder)
    return folder


def save_videomae(folder: Path) -> None:
    from transformers import VideoMAEConfig, VideoMAEModel

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    VideoMAEModel(VideoMAEConfig(image_size=32, patch_size=16, num_frames=4, **sizes)).save_pretrained(folder)


class _I3d(torch.nn.Module):
    """Called as the published TorchScript file is."""

    def forward(
        self, video: torch.Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False
    ) -> torch.Tensor:
        assert rescale and resize and return_features
        return video.mean(dim=[2, 3, 4])


def save_i3d(file: Path) -> None:
    with pytest.warns(FutureWarning):  # the published file was made before TorchScript was given up
        torch.jit.script(_I3d()).save(str(file))


@pytest.fixture
def serve():
    """`url = serve(reply)`: `reply(number)` gives (status, text) for the number-th question, from 0."""
    running = []

    def start(reply: Callable[[int], tuple[int, str]]) -> str:
        asked: list[int] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(200, b'{"data": []}')

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                status, text = reply(len(asked))
                asked.append(status)
                self._send(status, json.dumps({"choices": [{"message": {"content": text}}]}).encode())

            def _send(self, status: int, data: bytes) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/v1"

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


def asking(url: str) -> list[str]:
    return [*SMALL, "vlm.backend=server", f"vlm.server.url={url}", "vlm.server.backoff_s=0", "vlm.server.attempts=2"]


def test_a_server_in_trouble_costs_its_answers_alone_and_is_asked_again(serve, theirs, bench, tmp_path, capsys):
    """Four questions, two videos: the second video's are refused in the first run, and answered in the second."""
    broken = [True]
    url = serve(lambda number: (500 if broken[0] and number >= 2 else 200, "Yes."))
    assert evaluate(theirs, bench, tmp_path / "out", *asking(url)) == 1
    assert "1 with the reason in `error` or `vlm_error`" in capsys.readouterr().out
    whole, lacking = sorted(rows_of(tmp_path / "out"), key=lambda row: row["vlm_error"] is not None)
    assert whole["vlm_success"] == 1 and whole["vlm_error"] is None
    assert lacking["vlm_success"] is None and "HTTP 500" in lacking["vlm_error"] and lacking["error"] is None
    assert lacking["trajectory_error"] == 0 and lacking["psnr"] == float("inf") and lacking["event_accuracy"] == 1
    scores = read_scores(str(tmp_path / "out"))
    kind = lacking["kind"]
    assert result(scores, "vlm_success", kind).missing == 1 and result(scores, "psnr", kind).missing == 0
    assert f"`{lacking['sample_id']}`: only VLM: answer server" in markdown([scores])

    broken[0] = False
    assert evaluate(theirs, bench, tmp_path / "out", *asking(url)) == 0
    assert "2 generations, 1 to score" in capsys.readouterr().out
    assert all(row["vlm_success"] == 1 for row in rows_of(tmp_path / "out"))


def test_a_server_in_trouble_ends_the_run_where_that_is_asked_for(serve, theirs, bench, tmp_path):
    url = serve(lambda number: (500, ""))
    with pytest.raises(CurationError, match=r"evaluate stopped: .*HTTP 500"):
        evaluate(theirs, bench, tmp_path / "out", *asking(url), "engine.on_error=stop")
    assert not rows_of(tmp_path / "out")


def test_answers_that_cannot_be_read_are_failures_and_counted(serve, theirs, bench, tmp_path):
    url = serve(lambda number: (200, "Yes." if number % 2 else "It is hard to say."))
    assert evaluate(theirs, bench, tmp_path / "out", *asking(url)) == 0
    scores = read_scores(str(tmp_path / "out"))
    for kind in ("frame_in", "frame_out"):
        assert (result(scores, "vlm_success", kind).value, result(scores, "vlm_unparsable", kind).value) == (0, 1)
        assert result(scores, "vlm_success", kind).missing == 0
    assert {row["vlm_answer"] for row in scores.rows} == {"It is hard to say."}
