"""Caption backends."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from curation.models.caption.protocol import Captioner
from curation.models.planned import planned


class CaptionConfig(Config):
    backend: Literal["template", "qwen"] = Field(
        default="template", description="template: sentences from measured facts"
    )


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
            raise planned("qwen", "captions.backend=template")
