"""Captions by an OpenAI-compatible server, vLLM or another: several clips at once, tried again when it stumbles."""

import base64
import json
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import cv2
from pydantic import Field

from curation.contract.errors import ModelError
from curation.models.caption.prompt import PromptConfig, plain_caption
from curation.models.caption.protocol import CaptionRequest
from curation.models.model_config import gpu_share
from curation.models.usage import count
from curation.video.write import write_mp4

_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)
"""Answers after which the same question may be answered."""
_LONGEST_WAIT_S = 60.0


class CaptionServerConfig(PromptConfig):
    gpus: float = gpu_share(0.0)  # they are the server's
    url: str = Field(
        default="http://127.0.0.1:8000/v1",
        pattern=r"^https?://",
        description="base address, as OpenAI's clients take it",
    )
    model: str = Field(default="Qwen/Qwen2.5-VL-32B-Instruct", description="model that the server is asked for")
    key_variable: str = Field(
        default="OPENAI_API_KEY", description="environment variable that holds the key, if it wants one"
    )
    media: Literal["video", "images"] = Field(
        default="video", description="video: a small mp4 (vLLM); images: JPEGs one by one, which more servers take"
    )
    concurrency: int = Field(default=16, ge=1, description="clips of a worker that are being captioned at once")
    attempts: int = Field(default=5, ge=1, description="times that a clip is asked for")
    backoff_s: float = Field(default=1.0, ge=0, description="pause after the first failed attempt; doubles each time")
    limit_s: float = Field(
        default=120.0, gt=0, description="longest time for one attempt, from asking to the last byte"
    )
    usd_per_million_prompt_tokens: float = Field(default=0.0, ge=0, description="for the cost in the summary")
    usd_per_million_answer_tokens: float = Field(default=0.0, ge=0, description="for the cost in the summary")


class _TryAgainError(Exception):
    """This attempt failed; `wait_s` is how long the server asks to be left alone, if it says so."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class ServerCaptioner:
    """Captioner."""

    def __init__(self, config: CaptionServerConfig) -> None:
        self._config = config
        self.name = f"server {config.model} config {config.fingerprint()}"
        self.sampling = config.sampling
        self._down = False  # the last clip that was given up got nothing in all of its attempts, and none has since

    def captions(self, requests: Sequence[CaptionRequest]) -> list[str | ModelError]:
        """See Captioner."""
        with ThreadPoolExecutor(self._config.concurrency) as pool:
            return list(pool.map(self._caption, requests))

    def _caption(self, request: CaptionRequest) -> str | ModelError:
        body = json.dumps(self._question(request)).encode()
        reason, wait, made = "", self._config.backoff_s, 0
        while True:
            try:
                caption = self._attempt(body)
                self._down = False
                return caption
            except ModelError as error:
                return error
            except _TryAgainError as error:
                reason, made = str(error), made + 1
                # A server that is down would cost every clip all of its pauses: then one attempt each looks for it.
                if made >= self._config.attempts or self._down:
                    break
                count("caption attempts repeated")
                time.sleep(min(max(wait, error.wait_s), _LONGEST_WAIT_S))
                wait *= 2
        self._down = True
        tries = f"{made} attempt{'s' * (made > 1)}"
        return ModelError(f"caption server {self._config.url}: no caption after {tries}; the last: {reason}")

    def _attempt(self, body: bytes) -> str:
        """
        Raises:
            ModelError: asking again would not help.
            _TryAgainError: it may.
        """
        answer = self._post(body)
        try:
            data = json.loads(answer)
            text = data["choices"][0]["message"]["content"]
            usage = data.get("usage") or {}
            prompt, new = int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise _TryAgainError(f"it answered with something else than a completion: {answer[:80]!r}") from None
        prices = (self._config.usd_per_million_prompt_tokens, self._config.usd_per_million_answer_tokens)
        count("caption prompt tokens", prompt)
        count("caption answer tokens", new)
        count("caption cost, USD", (prompt * prices[0] + new * prices[1]) / 1e6)
        try:
            return plain_caption("server", text if isinstance(text, str) else "")
        except ModelError as error:
            raise _TryAgainError(str(error)) from None

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(self._config.key_variable):
            headers["Authorization"] = f"Bearer {key}"
        request = Request(f"{self._config.url.rstrip('/')}/chat/completions", body, headers)
        deadline = time.monotonic() + self._config.limit_s
        answer = bytearray()
        try:
            with urlopen(request, timeout=self._config.limit_s) as response:
                while part := response.read1(1 << 16):
                    answer += part
                    if time.monotonic() > deadline:  # the socket's own limit begins anew with every byte
                        raise TimeoutError
        except HTTPError as error:
            said = " ".join(error.read(300).decode(errors="replace").split())
            if error.code not in _AGAIN:
                raise ModelError(f"caption server {self._config.url}: HTTP {error.code}: {said}") from None
            raise _TryAgainError(f"HTTP {error.code}: {said}", _seconds(error.headers.get("Retry-After"))) from None
        except TimeoutError:
            raise _TryAgainError(f"no whole answer within {self._config.limit_s:g} s") from None
        except (URLError, HTTPException, OSError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            if isinstance(reason, TimeoutError):
                raise _TryAgainError(f"no connection within {self._config.limit_s:g} s") from None
            raise _TryAgainError(f"cannot reach it: {reason}") from None
        return bytes(answer)

    def _question(self, request: CaptionRequest) -> dict[str, Any]:
        return {
            "model": self._config.model,
            "messages": [
                {"role": "user", "content": [*self._media(request), {"type": "text", "text": self._config.prompt}]}
            ],
            "max_tokens": self._config.max_new_tokens,
            "temperature": 0,
            "seed": 0,
        }

    def _media(self, request: CaptionRequest) -> list[dict[str, Any]]:
        if self._config.media == "video":
            url = f"data:video/mp4;base64,{base64.b64encode(_mp4(request, self._config.every)).decode()}"
            return [{"type": "video_url", "video_url": {"url": url}}]
        return [{"type": "image_url", "image_url": {"url": _jpeg_url(picture)}} for picture in request.pictures]


def _mp4(request: CaptionRequest, every: int) -> bytes:
    """The pictures as a video in true time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_mp4(path, request.pictures, Fraction(request.fps / every).limit_denominator(1000))
        return path.read_bytes()


def _jpeg_url(picture: Any) -> str:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert done, "OpenCV encodes any 8-bit picture"
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"


def _seconds(value: str | None) -> float:
    """A Retry-After header; dates, which it may also be, count as nothing."""
    try:
        return float(value or 0)
    except ValueError:
        return 0.0
