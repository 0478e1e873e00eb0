"""`doctor --fetch`: from a hub on this machine that speaks as much of the real one's language as a download needs."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from curation.models.masks.sam2 import Sam2Config
from curation.models.weights import find_weights, url_file

COMMIT = "1" * 40


@pytest.fixture
def hub(tiny_model):
    """Address of a hub that has the tiny SAM 2 as owner/tiny, and a plain file at /files/weights.pt."""
    folder = tiny_model("sam2")

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            path = self.path.split("?")[0]
            if path == f"/api/models/owner/tiny/revision/{COMMIT}":
                files = [{"rfilename": file.name, "size": file.stat().st_size} for file in sorted(folder.iterdir())]
                info = {"id": "owner/tiny", "sha": COMMIT, "siblings": files, "tags": [], "downloads": 0, "likes": 0}
                self.send(json.dumps(info).encode(), with_body, {"Content-Type": "application/json"})
            elif path.startswith(f"/owner/tiny/resolve/{COMMIT}/"):
                data = (folder / path.rsplit("/", 1)[1]).read_bytes()
                tag = f'"{hashlib.sha256(data).hexdigest()}"'
                self.send(data, with_body, {"ETag": tag, "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"})
            elif path == "/files/weights.pt":
                self.send(b"weights" * 1000, with_body, {})
            else:
                self.send_response(404)
                self.send_header("X-Error-Code", "RevisionNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()

        def send(self, data: bytes, with_body: bool, headers: dict[str, str]) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def fetch(hub: str, to: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "curation", "doctor", "--fetch", "laptop", "--to", str(to)]
    command += [part for setting in settings for part in ("--set", setting)]
    environment = {**os.environ, "HF_ENDPOINT": hub, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "5"}
    root = Path(__file__).parents[1]
    return subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False, timeout=120)


def sam2(revision: str) -> tuple[str, ...]:
    prefix = "objects.masks.sam2"
    return ("objects.masks.backend=sam2", f"{prefix}.weights=owner/tiny", f"{prefix}.revision='{revision}'")


def test_weights_of_a_config_come_into_a_folder_and_are_found_there(hub, tmp_path, tiny_model, monkeypatch):
    done = fetch(hub, tmp_path / "weights", *sam2(COMMIT))
    assert done.returncode == 0, done.stderr
    assert "owner/tiny: licence of these weights: not known here, NOT for commercial use" in done.stderr
    assert "3 files, 6.9 MiB, revision 1111" in " ".join(done.stderr.split())
    assert f"set HF_HUB_CACHE={tmp_path / 'weights'}" in done.stderr
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "weights"))
    folder = find_weights("sam2", Sam2Config(weights="owner/tiny", revision=COMMIT))
    for file in tiny_model("sam2").iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes()


def test_a_revision_that_the_hub_does_not_have(hub, tmp_path):
    done = fetch(hub, tmp_path / "weights", *sam2("2" * 40))
    assert done.returncode == 1
    assert "error: cannot fetch owner/tiny at revision 2222" in done.stderr


def test_one_line_for_each_download_that_fails_and_the_others_are_made(tmp_path, hub):
    code = Path(__file__).parent / "stand_ins" / "tapnet"
    url = f"{hub}/files/weights.pt"
    others = ("tracking.backend=tapir", f"tracking.tapir.code={code}", f"tracking.tapir.weights={url}")
    done = fetch("http://127.0.0.1:9", tmp_path / "weights", *sam2(COMMIT), *others)  # nobody listens there
    assert done.returncode == 1
    assert f"error: cannot fetch owner/tiny at revision {COMMIT}: [Errno" in done.stderr
    assert "Traceback" not in done.stderr
    assert "weights.pt, 0.0 MiB" in done.stderr


def test_a_file_at_an_address(hub, tmp_path, monkeypatch):
    code = Path(__file__).parent / "stand_ins" / "tapnet"
    url = f"{hub}/files/weights.pt"
    settings = ("tracking.backend=tapir", f"tracking.tapir.code={code}", f"tracking.tapir.weights={url}")
    done = fetch(hub, tmp_path / "weights", *settings)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "weights"))
    assert url_file(url).read_bytes() == b"weights" * 1000
    assert [path.name for path in url_file(url).parent.iterdir()] == ["weights.pt"]


def test_what_has_to_be_done_by_hand_is_said(hub, tmp_path):
    done = fetch(hub, tmp_path / "weights", "shots.backend=autoshot")
    assert done.returncode == 1
    assert "still to be done by hand: autoshot needs the code of https://github.com/wentaozhu/AutoShot" in done.stderr
