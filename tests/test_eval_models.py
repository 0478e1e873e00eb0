"""Evaluation's backends: small random networks of the real classes, and one clear line where weights are missing."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from urllib.error import URLError

import numpy as np
import pytest
import torch

from curation.contract.errors import BackendUnavailableError, ModelError
from eval.backends import build_backends
from eval.config import EvalConfig
from eval.models.answers import ServerConfig
from eval.models.answers.server import AnswerServer
from eval.models.frames import FramesConfig, InceptionConfig, build_frame_features
from eval.models.frames.dinov2 import Dinov2
from eval.models.frames.look import Look
from eval.models.perceptual import PerceptualConfig, build_perceptual
from eval.models.perceptual.gmsd import Gmsd
from eval.models.videos import VideosConfig, build_video_features
from eval.models.videos.i3d import I3d
from eval.models.videos.motion_look import MotionLook
from eval.models.videos.videomae import VideoMae
from eval.pair import VideoPair
from eval.schemas import SCORES
from eval.score import score_pair

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def pictures():
    return np.random.default_rng(3).integers(1, 256, (4, 64, 96, 3)).astype(np.uint8)


def cosine(first, second):
    return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))


def test_look_tells_colours_and_ignores_the_black_around_a_reference(pictures):
    look = Look()
    red, blue = (np.full((64, 96, 3), colour, np.uint8) for colour in ((200, 40, 30), (30, 40, 200)))
    on_black = np.zeros((64, 96, 3), np.uint8)
    on_black[16:48, 24:72] = red[16:48, 24:72]
    found = look.describe(np.stack([red, blue, on_black]))
    assert found.shape == (3, 96) and found.dtype == np.float32
    assert cosine(found[0], found[2]) > 0.99 and cosine(found[0], found[1]) < 0.2
    edges = look.describe(pictures)[:, 64:]
    assert (edges**2).sum(axis=1) == pytest.approx(1)


def test_motion_look_tells_which_way_things_go():
    rng = np.random.default_rng(0)
    wide = np.repeat(np.repeat(rng.integers(0, 256, (16, 60, 3)), 4, axis=0), 4, axis=1).astype(np.uint8)
    right = np.stack([wide[:, 60 - 2 * t : 156 - 2 * t] for t in range(8)])
    found = [MotionLook().describe(video) for video in (right, right[::-1], right[[0] * 8])]
    assert found[0].shape == (120,)
    shares = [part[96:].reshape(-1, 8) ** 2 for part in found]
    assert shares[0][:, [0, 7]].sum() > 0.5 and shares[1][:, [3, 4]].sum() > 0.5 and shares[2].sum() == 0


def test_gmsd_is_zero_for_equal_frames_and_grows_with_blur(pictures):
    import cv2

    frames = np.stack([cv2.GaussianBlur(picture, (0, 0), 2) for picture in pictures])
    softer = np.stack([cv2.GaussianBlur(frame, (0, 0), 1.5) for frame in frames])
    softest = np.stack([cv2.GaussianBlur(frame, (0, 0), 4) for frame in frames])
    gmsd = Gmsd()
    assert gmsd.distance(frames, frames).tolist() == [0] * 4
    assert (gmsd.distance(softer, frames) > 0).all()
    assert (gmsd.distance(softest, frames) > gmsd.distance(softer, frames)).all()


def test_dinov2_is_the_class_token_of_the_real_class(pictures, tmp_path):
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    model = Dinov2Model(
        Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=224, patch_size=14)
    )
    model.save_pretrained(tmp_path)
    backend = Dinov2(str(tmp_path))
    found = backend.describe(pictures)
    assert found.shape == (4, 32) and str(tmp_path) in backend.name
    planes = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    planes = torch.nn.functional.interpolate(planes, (224, 336), mode="bilinear", antialias=True)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        wanted = model.eval()((planes - mean[:, None, None]) / deviation[:, None, None]).last_hidden_state[:, 0]
    assert found == pytest.approx(wanted.numpy(), abs=1e-5)


def test_videomae_and_i3d_are_behind_one_protocol(pictures, tmp_path):
    from transformers import VideoMAEConfig, VideoMAEModel

    torch.manual_seed(0)
    config = VideoMAEConfig(
        image_size=32, patch_size=16, num_frames=4, hidden_size=24, num_hidden_layers=1, num_attention_heads=2
    )
    VideoMAEModel(config).save_pretrained(tmp_path / "mae")
    video = np.concatenate([pictures] * 3)
    assert VideoMae(str(tmp_path / "mae")).describe(video).shape == (24,)

    class Network(torch.nn.Module):
        """Called as the published TorchScript file is."""

        def forward(
            self, video: torch.Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False
        ) -> torch.Tensor:
            assert rescale and resize and return_features
            return video.mean(dim=[3, 4]).flatten(1)

    (tmp_path / "i3d").mkdir()
    with pytest.warns(FutureWarning):  # the published file was made before TorchScript was given up
        torch.jit.script(Network()).save(str(tmp_path / "i3d" / "i3d_torchscript.pt"))
    for place in (tmp_path / "i3d", tmp_path / "i3d" / "i3d_torchscript.pt"):
        found = I3d(str(place)).describe(video)
        wanted = video.transpose(3, 0, 1, 2).mean(axis=(2, 3)).ravel()
        assert found == pytest.approx(wanted, rel=1e-4)
    with pytest.raises(BackendUnavailableError, match=r"i3d_torchscript\.pt"):
        I3d(str(tmp_path / "mae"))


def test_lpips_with_a_random_trunk(pictures, tmp_path, monkeypatch):
    """Its linear weights come with torchmetrics, the trunk's from torchvision's cache."""
    import torchvision

    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.manual_seed(0)
    torch.save(torchvision.models.squeezenet1_1().state_dict(), checkpoints / "squeezenet1_1-b8a52dc0.pth")
    backend = build_perceptual(PerceptualConfig(backend="lpips", network="squeeze"))
    distance = backend.distance(pictures, pictures[::-1])
    assert distance.shape == (4,) and (distance > 0).all() and "squeeze" in backend.name
    assert backend.distance(pictures, pictures) == pytest.approx(0, abs=1e-6)


def test_missing_weights_are_one_clear_line(tmp_path, monkeypatch):
    """And never another backend."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    nowhere = {"weights": "nobody/nothing-of-the-kind"}
    for build, config, setting in (
        (build_frame_features, FramesConfig.model_validate({"backend": "dinov2", "dinov2": nowhere}), "dinov2.weights"),
        (build_video_features, VideosConfig.model_validate({"backends": ["i3d"], "i3d": nowhere}), "fvd.i3d.weights"),
        (
            build_video_features,
            VideosConfig.model_validate({"backends": ["videomae"], "videomae": nowhere}),
            "fvd.videomae.weights",
        ),
    ):
        with pytest.raises(BackendUnavailableError) as failure:
            build(config)
        assert setting in str(failure.value) and "\n" not in str(failure.value)
    monkeypatch.setattr("urllib.request.urlopen", unreachable)  # as torch.hub calls it
    with pytest.raises(BackendUnavailableError) as failure:
        build_perceptual(PerceptualConfig(backend="lpips"))
    file = tmp_path / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth"
    assert f"--output {file} https://download.pytorch.org/models/{file.name}" in str(failure.value)
    inception = FramesConfig(backend="inception", inception=InceptionConfig(weights=str(tmp_path / "x")))
    wanted = r"curl .* https://github\.com/toshas/torch-fidelity/.*fid\.inception\.weights"
    with pytest.raises(
        BackendUnavailableError, match=wanted if find_spec("torch_fidelity") else "pip install torch-fidelity"
    ):
        build_frame_features(inception)


def unreachable(*_, **__):
    raise URLError("no network")


def test_inception_is_torch_fidelitys(pictures, tmp_path, monkeypatch):
    """Its package is asked for by the full preset alone; its network with random weights."""
    fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3", reason="torch-fidelity")
    torch.save({}, tmp_path / "nothing.pth")
    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *_, **__: None)
        network = fidelity.FeatureExtractorInceptionV3("x", ["2048"], str(tmp_path / "nothing.pth"))
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    config = FramesConfig(backend="inception", inception=InceptionConfig(weights=str(tmp_path / "weights.pth")))
    backend = build_frame_features(config)
    found = backend.describe(pictures)
    assert found.shape == (4, 2048) and backend.name.startswith("inception torch-fidelity-")
    assert np.array_equal(found, backend.describe(pictures))


class _Server(BaseHTTPRequestHandler):
    """Speaks as OpenAI-compatible servers do, and says yes."""

    seen: list = []  # noqa: RUF012 - shared by the requests of one test

    def do_GET(self):
        self._reply({"data": [{"id": "tiny"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.path, self.headers.get("Authorization"), body))
        if body["model"] == "silent":
            self._reply({"choices": []})
            return
        reply = "It may well do." if body["model"] == "vague" else "Yes."
        self._reply({"choices": [{"message": {"content": reply}}]})

    def _reply(self, data):
        text = json.dumps(data).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    _Server.seen = []
    running = HTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}/v1"
    running.shutdown()
    running.server_close()
    thread.join()


def test_a_server_is_asked_with_pictures_in_order(server, pictures, monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    answerer = AnswerServer(ServerConfig(url=server, model="tiny", key_variable="MY_KEY"))
    assert answerer.answer(pictures, 3.5, "Does it?") == "Yes."
    path, key, body = _Server.seen[0]
    assert (path, key, body["model"], body["temperature"]) == ("/v1/chat/completions", "Bearer secret", "tiny", 0)
    content = body["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url"] * 4 + ["text"]
    assert content[0]["image_url"]["url"].startswith("data:image/jpeg;base64,") and "3.5" in content[-1]["text"]
    with pytest.raises(ModelError, match="no answer after 2 attempts; the last: it answered with something else"):
        silent = ServerConfig(url=server, model="silent", attempts=2, backoff_s=0.01)
        AnswerServer(silent).answer(pictures, 3.5, "Does it?")


@pytest.mark.parametrize(("model", "success", "unparsable"), [("tiny", 1, 0), ("vague", 0, 1)])
def test_answers_reach_the_scores(server, model, success, unparsable):
    config = EvalConfig.model_validate({"vlm": {"backend": "server", "server": {"url": server, "model": model}}})
    frames = np.full((18, 96, 128, 3), 90, np.uint8)
    for time, frame in enumerate(frames):
        frame[40:60, 4 + 4 * time : 24 + 4 * time] = (200, 40, 40)
    mask = (frames[0] != 90).any(axis=2)
    points = np.array([[10, 45], [18, 55]], np.float32)
    pair = VideoPair("s", "frame_in", "box", frames, frames, 12.0, 1.0, (40, 20, 120, 80), 0, points, mask, None)
    (row,) = score_pair(pair, build_backends(config), config.comparison)[SCORES]
    assert (row["vlm_success"], row["vlm_unparsable"], row["vlm_backend"]) == (success, unparsable, f"{model} served")
    questions = [body["messages"][0]["content"] for _, _, body in _Server.seen]
    assert len(questions) == 2 and all(len(content) == 14 + 1 for content in questions)  # 14 frames of each video
    assert "enter the frame" in questions[0][-1]["text"]


def test_a_server_that_is_not_there():
    with pytest.raises(BackendUnavailableError, match=r"vlm\.server\.url"):
        AnswerServer(ServerConfig(url="http://127.0.0.1:9/v1", limit_s=2))


def test_a_transformers_model_replies(pictures, tiny_model):
    """A tiny random Qwen2.5-VL: whatever it says, it says it about the frames it was shown."""
    from eval.models.answers.transformers import TransformersAnswerer

    answerer = TransformersAnswerer(str(tiny_model("qwen2_5_vl")))
    bright = np.full((4, 56, 56, 3), 250, np.uint8)
    reply = answerer.answer(bright, 3.0, "Does it enter? Answer yes or no.")
    assert isinstance(reply, str)
    assert answerer.answer(bright, 3.0, "Does it enter? Answer yes or no.") == reply
    assert answerer.answer(pictures, 3.0, "Does it enter? Answer yes or no.") != reply
