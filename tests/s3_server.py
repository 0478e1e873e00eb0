"""A real S3 server on loopback: moto's, in an environment of its own, as its pins and ours exclude each other."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from curation.contract.storage import open_filesystem

SERVER = Path(__file__).resolve().parents[1] / ".venv-s3" / "bin" / "moto_server"
# Credentials that no cloud knows; moto takes any.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
BUCKET = "bucket"


class S3Server:
    """Holds its objects in memory for as long as the context lasts."""

    def __enter__(self) -> "S3Server":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [SERVER, "-H", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{BUCKET}", method="PUT")
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(request, timeout=5).close()
                return self
            except OSError:
                assert self._process.poll() is None, "moto_server ended"
                assert time.monotonic() < deadline
                time.sleep(0.2)

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def uri(self, path: str, port: int | None = None) -> str:
        """Of an object, at the server's own port or that of a relay to it."""
        at = f"127.0.0.1:{port or self.port}"
        return f"s3://{BUCKET}/{path}?endpoint_override={at}&scheme=http&region=us-east-1"

    def pause(self) -> None:
        """Answer nobody, until `resume`."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)

    def upload(self, folder: Path, path: str) -> None:
        """The files right in a folder, as objects below `path`."""
        store, root = open_filesystem(self.uri(path))
        for file in folder.iterdir():
            with store.open_output_stream(f"{root}/{file.name}") as stream:
                stream.write(file.read_bytes())
