"""Caption backends."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from curation.models.alternative import or_choose
from curation.models.caption.protocol import Captioner
from curation.models.caption.qwen import QwenConfig
from curation.models.caption.server import CaptionServerConfig
from curation.models.packages import require_package


class CaptionConfig(Config):
    backend: Literal["template", "qwen", "server"] = Field(
        default="template",
        description="template: sentences from measured facts; qwen: Qwen2.5-VL or Qwen3-VL here; server: any "
        "OpenAI-compatible one (vLLM)",
    )
    qwen: QwenConfig = QwenConfig()
    server: CaptionServerConfig = CaptionServerConfig()


def build_captioner(config: CaptionConfig) -> Captioner:
    """The chosen backend, ready to write.

    Raises:
        BackendUnavailableError: it cannot run here.
    """
    match config.backend:
        case "template":
            from curation.models.caption.template import TemplateCaptioner

            return TemplateCaptioner()
        case "qwen":
            from curation.models.caption.qwen import QwenCaptioner

            with or_choose("captions.backend=template"):
                require_package("qwen", "transformers", "transformers")
                return QwenCaptioner(config.qwen)
        case "server":
            from curation.models.caption.server import ServerCaptioner

            return ServerCaptioner(config.server)
