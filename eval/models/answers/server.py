"""Any OpenAI-compatible server (vLLM, SGLang, Ollama, ...): frames go as JPEG data URLs of one chat message."""

import base64
import json
import os
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from curation.contract.errors import BackendUnavailableError, VideoError

if TYPE_CHECKING:
    from eval.models.answers import ServerConfig

_MOST_TOKENS = 512  # enough for a model that thinks before it says yes or no


class AnswerServer:
    """A `QuestionAnswerer`.

    Raises:
        BackendUnavailableError: nothing answers at the URL.
    """

    def __init__(self, config: "ServerConfig") -> None:
        self.config = config
        self.name = f"{config.model} served"
        try:
            self._call("models", None)
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                remedy = f"put its key into the environment variable {config.key_variable}"
                raise BackendUnavailableError("server", f"a key for {config.url}", remedy) from None
        except (urllib.error.URLError, OSError, ValueError) as error:
            remedy = f"start one (vllm serve {config.model}) and name it in vlm.server.url ({_reason(error)})"
            raise BackendUnavailableError("server", f"a server at {config.url}", remedy) from None

    def answer(self, frames: np.ndarray, fps: float, question: str) -> str:
        """See `QuestionAnswerer.answer`."""
        pictures: list[dict[str, Any]] = [
            {"type": "image_url", "image_url": {"url": _data_url(frame)}} for frame in frames
        ]
        text = f"These are {len(frames)} frames of a video, {fps:g} per second, in order. {question}"
        message = {"role": "user", "content": [*pictures, {"type": "text", "text": text}]}
        body = {
            "model": self.config.model,
            "messages": [message],
            "temperature": 0,
            "seed": 0,
            "max_tokens": _MOST_TOKENS,
        }
        try:
            return self._call("chat/completions", body)["choices"][0]["message"]["content"] or ""
        except (urllib.error.URLError, OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise VideoError(f"{self.config.url}: no answer from {self.config.model}: {_reason(error)}") from error

    def _call(self, path: str, body: dict[str, Any] | None) -> Any:
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(self.config.key_variable):
            headers["Authorization"] = f"Bearer {key}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.config.url.rstrip('/')}/{path}", data, headers)
        with urllib.request.urlopen(request, timeout=self.config.timeout_s) as reply:
            return json.load(reply)


def _data_url(frame: np.ndarray) -> str:
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
