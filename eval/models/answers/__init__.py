"""Yes or no questions about a video, asked of a vision-language model."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from curation.models.chat_server import ChatServerConfig
from eval.models.answers.protocol import QuestionAnswerer


class ServerConfig(ChatServerConfig):
    """Nothing beyond what any server is told."""


class ModelConfig(Config):
    weights: str = Field(
        default="Qwen/Qwen2.5-VL-32B-Instruct", description="hub repository or folder of an image-text-to-text model"
    )
    revision: str | None = Field(
        default="7cfb30d71a1f4f49a57592323337a4a4727301da",
        description="commit of the repository; null for the newest, also of another one",
    )


class VlmConfig(Config):
    backend: Literal["none", "server", "transformers"] = Field(
        default="none", description="none: not asked; a laptop has no model that could answer"
    )
    server: ServerConfig = ServerConfig()
    transformers: ModelConfig = ModelConfig()


def build_answerer(config: VlmConfig) -> QuestionAnswerer | None:
    """The chosen backend; None for none.

    Raises:
        BackendUnavailableError: it cannot run here, or the server does not answer.
    """
    match config.backend:
        case "none":
            return None
        case "server":
            from eval.models.answers.server import AnswerServer

            return AnswerServer(config.server)
        case "transformers":
            from eval.models.answers.transformers import TransformersAnswerer

            return TransformersAnswerer(config.transformers.weights, config.transformers.revision)
