"""Captions by a server: a real one on this machine, which answers well, badly, late or not at all."""

import base64
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
import numpy as np
import pytest

from curation.contract.errors import ModelError
from curation.models.caption import CaptionConfig, build_captioner
from curation.models.caption.protocol import CaptionRequest, ClipFacts
from curation.models.usage import take_counts

GOOD = "A red car comes in from the left and drives slowly to the right"


def completion(text: str) -> tuple[int, bytes]:
    answer = {
        "choices": [{"message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 20},
    }
    return 200, json.dumps(answer).encode()


@pytest.fixture
def serve():
    """`url, seen = serve(answer)`: `answer(number, body)` gives (status, bytes) for the number-th request, from 0."""
    servers = []

    def start(answer: Callable[[int, dict], tuple[int, bytes]]) -> tuple[str, list[dict]]:
        seen: list[dict] = []
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/chat/completions"
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    number = len(seen)
                    seen.append({"body": body, "key": self.headers.get("Authorization"), "at": time.monotonic()})
                status, data = answer(number, body)
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the client had waited long enough

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}/v1", seen

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


def request(pictures: int = 3) -> CaptionRequest:
    shown = np.random.default_rng(0).integers(0, 255, (pictures, 256, 384, 3), dtype=np.uint8)
    return CaptionRequest(ClipFacts("static", ()), shown, np.arange(pictures) * 16, 25.0)


def captions(url: str, count: int = 1, **settings) -> list[str | ModelError]:
    take_counts()
    captioner = build_captioner(
        CaptionConfig(
            backend="server", server={"url": url, "media": "images", "backoff_s": 0.01, "limit_s": 0.4, **settings}
        )
    )
    return captioner.captions([request()] * count)


def test_the_question_is_a_small_video_with_the_recipes_words(serve, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    url, seen = serve(lambda number, body: completion(GOOD))
    assert captions(url, media="video", limit_s=20) == [GOOD]
    (asked,) = seen
    assert asked["key"] == "Bearer secret"
    video, text = asked["body"]["messages"][0]["content"]
    assert "20 to 40 words" in text["text"]
    assert (asked["body"]["temperature"], asked["body"]["max_tokens"]) == (0, 128)
    kind, data = video["video_url"]["url"].split(",")
    assert kind == "data:video/mp4;base64"
    import io

    with av.open(io.BytesIO(base64.b64decode(data))) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (384, 256)
        assert stream.average_rate is not None
        assert float(stream.average_rate) == pytest.approx(25 / 16, abs=0.01)
        assert sum(1 for _ in container.decode(stream)) == 3


def test_pictures_one_by_one_for_servers_that_take_no_video(serve):
    url, seen = serve(lambda number, body: completion(GOOD))
    captions(url)
    content = seen[0]["body"]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url"] * 3 + ["text"]
    assert content[0]["image_url"]["url"].startswith("data:image/jpeg;base64,")


def test_tokens_and_cost_are_counted(serve):
    url, _ = serve(lambda number, body: completion(GOOD))
    captions(url, count=3, usd_per_million_prompt_tokens=2.0, usd_per_million_answer_tokens=10.0)
    counts = take_counts()
    assert counts["caption prompt tokens"] == 3000
    assert counts["caption answer tokens"] == 60
    assert counts["caption cost, USD"] == pytest.approx(3 * (1000 * 2 + 20 * 10) / 1e6)


def test_several_at_once_and_in_order(serve):
    together = threading.Barrier(6)  # six requests wait for each other, twice

    def answer(number: int, body: dict) -> tuple[int, bytes]:
        together.wait(timeout=20)
        return completion(f"{GOOD} {number // 6}")

    url, seen = serve(answer)
    found = captions(url, count=12, concurrency=6, limit_s=30)
    assert found == [f"{GOOD} 0"] * 6 + [f"{GOOD} 1"] * 6
    assert len(seen) == 12


def test_a_server_that_is_down_is_asked_once_a_clip_until_it_answers_again(serve):
    url, seen = serve(lambda number, body: completion(GOOD) if number in (6, 8) else (500, b"overloaded"))
    found = captions(url, count=6, concurrency=1, attempts=4, limit_s=5)
    assert [isinstance(one, ModelError) for one in found] == [True, True, True, False, False, True]
    assert "after 4 attempts" in str(found[0])
    assert "after 1 attempt;" in str(found[1])
    assert len(seen) == 4 + 1 + 1 + 1 + 2 + 4


def test_500_is_asked_again_with_growing_pauses(serve):
    url, seen = serve(lambda number, body: completion(GOOD) if number == 3 else (500, b"overloaded"))
    assert captions(url, backoff_s=0.05, limit_s=5) == [GOOD]
    pauses = np.diff([one["at"] for one in seen])
    assert len(seen) == 4
    assert (pauses >= [0.05, 0.1, 0.2]).all()
    assert take_counts()["caption attempts repeated"] == 3


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda number, body: (500, b"CUDA error:\nout of luck"), "HTTP 500: CUDA error: out of luck"),
        (lambda number, body: (time.sleep(1.0), completion(GOOD))[1], "no whole answer within 0.4 s"),
        (
            lambda number, body: (200, b"<html>welcome</html>"),
            "something else than a completion: b'<html>welcome</html>'",
        ),
        (lambda number, body: (200, b'{"choices": []}'), "something else than a completion"),
        (lambda number, body: (200, b"[1, 2]"), "something else than a completion"),
        (lambda number, body: completion(""), "its answer is no caption: '', 0 words"),
        (lambda number, body: completion("}} {{ 0x00 ;; ;; == //"), "its answer is no caption"),
        (lambda number, body: completion("car " * 900), "900 words"),
    ],
    ids=["500", "hangs", "html", "no choices", "a list", "empty", "symbols", "rambling"],
)
def test_a_server_in_trouble_costs_one_clear_line(serve, answer, says):
    url, seen = serve(answer)
    (found,) = captions(url, attempts=2)
    assert isinstance(found, ModelError)
    assert str(found).startswith(f"caption server {url}: no caption after 2 attempts; the last: ")
    assert says in str(found)
    assert "\n" not in str(found)
    assert len(seen) == 2


def test_bytes_that_trickle_are_no_answer_within_the_time(serve):
    """Each byte comes in time, the whole answer does not: the socket's own limit would wait for ever."""
    import socket

    listener = socket.create_server(("127.0.0.1", 0))

    def trickle() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 20)
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                    for _ in range(12):
                        connection.sendall(b" ")
                        time.sleep(0.1)
                except OSError:
                    pass

    thread = threading.Thread(target=trickle)
    thread.start()
    started = time.monotonic()
    (found,) = captions(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", attempts=2)
    assert "no whole answer within 0.4 s" in str(found)
    assert time.monotonic() - started < 3
    thread.join()
    listener.close()


def test_what_asking_again_cannot_help_is_not_asked_again(serve):
    url, seen = serve(lambda number, body: (404, b'{"error": "no model Qwen/Qwen2.5-VL-32B-Instruct here"}'))
    (found,) = captions(url)
    assert "HTTP 404" in str(found)
    assert "no model Qwen" in str(found)
    assert len(seen) == 1


def test_nobody_listens():
    (found,) = captions("http://127.0.0.1:9/v1", attempts=2)
    assert "cannot reach it: " in str(found)


def test_one_clips_trouble_is_not_its_neighbours(serve):
    def answer(number: int, body: dict) -> tuple[int, bytes]:
        return completion(GOOD) if number != 1 else (400, b"too many pixels")

    url, _ = serve(answer)
    found = captions(url, count=3, concurrency=1)
    assert found[0] == found[2] == GOOD
    assert isinstance(found[1], ModelError)


def test_the_name_says_model_and_config_and_never_the_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    config = CaptionConfig(backend="server")
    name = build_captioner(config).name
    assert name == f"server Qwen/Qwen2.5-VL-32B-Instruct config {config.server.fingerprint()}"
    assert "secret" not in config.model_dump_json()
