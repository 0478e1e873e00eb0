"""Any OpenAI-compatible server (vLLM, SGLang, Ollama, ...): frames go as JPEG data URLs of one chat message."""

import os
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np

from curation.contract.errors import BackendUnavailableError
from curation.models.chat_server import ChatServer, picture_part

if TYPE_CHECKING:
    from eval.models.answers import ServerConfig

_MOST_TOKENS = 512  # enough for a model that thinks before it says yes or no


class AnswerServer:
    """A `QuestionAnswerer`.

    Raises:
        BackendUnavailableError: nothing answers at the URL, or it wants a key.
    """

    def __init__(self, config: "ServerConfig") -> None:
        self.name = f"{config.model} served"
        _look_for(config)
        self._server = ChatServer(config, "answer")

    def answer(self, frames: np.ndarray, fps: float, question: str) -> str:
        """See `QuestionAnswerer.answer`."""
        text = f"These are {len(frames)} frames of a video, {fps:g} per second, in order. {question}"
        content = [*map(picture_part, frames), {"type": "text", "text": text}]
        return self._server.ask(content, _MOST_TOKENS, lambda reply: reply)  # what cannot be read is counted as such


def _look_for(config: "ServerConfig") -> None:
    """Whether there is a server at all: without one, every video would be scored for nothing and again later."""
    key = os.environ.get(config.key_variable)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with urlopen(Request(f"{config.url.rstrip('/')}/models", headers=headers), timeout=config.limit_s):
            return
    except HTTPError as error:
        if error.code in (401, 403):
            remedy = f"put its key into the environment variable {config.key_variable}"
            raise BackendUnavailableError("server", f"a key for {config.url}", remedy) from None
    except (URLError, OSError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        remedy = f"start one (vllm serve {config.model}) and name it in vlm.server.url ({reason})"
        raise BackendUnavailableError("server", f"a server at {config.url}", remedy) from None
