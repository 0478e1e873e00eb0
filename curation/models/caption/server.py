"""Captions by an OpenAI-compatible server, vLLM or another: several clips at once."""

import base64
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from curation.contract.errors import ModelError
from curation.models.caption.prompt import PromptConfig, plain_caption
from curation.models.caption.protocol import CaptionRequest
from curation.models.chat_server import ChatServer, ChatServerConfig, picture_part
from curation.models.model_config import gpu_share
from curation.video.write import write_mp4


class CaptionServerConfig(PromptConfig, ChatServerConfig):
    gpus: float = gpu_share(0.0)  # they are the server's
    media: Literal["video", "images"] = Field(
        default="video", description="video: a small mp4 (vLLM); images: JPEGs one by one, which more servers take"
    )
    concurrency: int = Field(default=16, ge=1, description="clips of a worker that are being captioned at once")


class ServerCaptioner:
    """Captioner."""

    def __init__(self, config: CaptionServerConfig) -> None:
        self._config = config
        self._server = ChatServer(config, "caption")
        self.name = f"server {config.model} config {config.fingerprint()}"
        self.sampling = config.sampling

    def captions(self, requests: Sequence[CaptionRequest]) -> list[str | ModelError]:
        """See Captioner."""
        with ThreadPoolExecutor(self._config.concurrency) as pool:
            return list(pool.map(self._caption, requests))

    def _caption(self, request: CaptionRequest) -> str | ModelError:
        content = [*self._media(request), {"type": "text", "text": self._config.prompt}]
        try:
            return self._server.ask(content, self._config.max_new_tokens, lambda text: plain_caption("server", text))
        except ModelError as error:
            return error

    def _media(self, request: CaptionRequest) -> list[dict[str, Any]]:
        if self._config.media == "video":
            url = f"data:video/mp4;base64,{base64.b64encode(_mp4(request, self._config.every)).decode()}"
            return [{"type": "video_url", "video_url": {"url": url}}]
        return [picture_part(picture) for picture in request.pictures]


def _mp4(request: CaptionRequest, every: int) -> bytes:
    """The pictures as a video in true time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_mp4(path, request.pictures, Fraction(request.fps / every).limit_denominator(1000))
        return path.read_bytes()
