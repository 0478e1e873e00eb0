"""Questions to an OpenAI-compatible server, vLLM or another; asked again when it stumbles."""

import base64
import json
import os
import time
from collections.abc import Callable, Sequence
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import cv2
import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.contract.errors import ModelError
from curation.models.usage import count

_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)
"""Answers after which the same question may be answered."""
_LONGEST_WAIT_S = 60.0


class ChatServerConfig(Config):
    url: str = Field(
        default="http://127.0.0.1:8000/v1",
        pattern=r"^https?://",
        description="base address, as OpenAI's clients take it",
    )
    model: str = Field(default="Qwen/Qwen2.5-VL-32B-Instruct", description="model that the server is asked for")
    key_variable: str = Field(
        default="OPENAI_API_KEY", description="environment variable that holds the key, if it wants one"
    )
    attempts: int = Field(default=5, ge=1, description="times that a question is asked")
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


class ChatServer:
    """May be asked by several threads.

    Args:
        wanted: what an answer is ("caption"), in errors and in what is counted.
    """

    def __init__(self, config: ChatServerConfig, wanted: str) -> None:
        self._config = config
        self._wanted = wanted
        # The last question that was given up got nothing in all of its attempts, and none has got anything since.
        self._down = False

    def ask(self, content: Sequence[dict[str, Any]], max_tokens: int, read: Callable[[str], str]) -> str:
        """What the server answers to one message, greedily.

        Args:
            content: parts of the message, as the OpenAI API has them.
            read: the answer, made of the text; a ModelError of it is a reason to ask again.

        Raises:
            ModelError: there is no answer.
        """
        message = {
            "model": self._config.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": max_tokens,
            "temperature": 0,
            "seed": 0,
        }
        body = json.dumps(message).encode()
        reason, wait, made = "", self._config.backoff_s, 0
        while True:
            try:
                answer = self._attempt(body, read)
                self._down = False
                return answer
            except _TryAgainError as error:
                reason, made = str(error), made + 1
                # A server that is down would cost every question all of its pauses: then one attempt each looks for it.
                if made >= self._config.attempts or self._down:
                    break
                count(f"{self._wanted} attempts repeated")
                time.sleep(min(max(wait, error.wait_s), _LONGEST_WAIT_S))
                wait *= 2
        self._down = True
        tries = f"{made} attempt{'s' * (made > 1)}"
        raise self._error(f"no {self._wanted} after {tries}; the last: {reason}")

    def _error(self, what: str) -> ModelError:
        return ModelError(f"{self._wanted} server {self._config.url}: {what}")

    def _attempt(self, body: bytes, read: Callable[[str], str]) -> str:
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
        count(f"{self._wanted} prompt tokens", prompt)
        count(f"{self._wanted} answer tokens", new)
        count(f"{self._wanted} cost, USD", (prompt * prices[0] + new * prices[1]) / 1e6)
        try:
            return read(text if isinstance(text, str) else "")
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
                raise self._error(f"HTTP {error.code}: {said}") from None
            raise _TryAgainError(f"HTTP {error.code}: {said}", _seconds(error.headers.get("Retry-After"))) from None
        except TimeoutError:
            raise _TryAgainError(f"no whole answer within {self._config.limit_s:g} s") from None
        except (URLError, HTTPException, OSError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            if isinstance(reason, TimeoutError):
                raise _TryAgainError(f"no connection within {self._config.limit_s:g} s") from None
            raise _TryAgainError(f"cannot reach it: {reason}") from None
        return bytes(answer)


def picture_part(picture: np.ndarray) -> dict[str, Any]:
    """A picture, uint8 [h, w, 3] RGB, as a part of a message: a JPEG in a data URL."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert done, "OpenCV encodes any 8-bit picture"
    url = f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def _seconds(value: str | None) -> float:
    """A Retry-After header; dates, which it may also be, count as nothing."""
    try:
        return float(value or 0)
    except ValueError:
        return 0.0
