"""Text detection backends."""

from typing import Literal

from pydantic import Field

from curation.contract.config import Config
from curation.models.packages import require_package
from curation.models.text.protocol import TextDetector
from curation.models.text.rapidocr import RapidOcrConfig


class TextConfig(Config):
    backend: Literal["rapidocr"] = Field(
        default="rapidocr", description="rapidocr: PP-OCR detector, weights in its wheel"
    )
    rapidocr: RapidOcrConfig = RapidOcrConfig()


def build_text_detector(config: TextConfig) -> TextDetector:
    """The chosen backend, ready to look at pictures.

    Raises:
        BackendUnavailableError: its package is not installed.
    """
    match config.backend:
        case "rapidocr":
            from curation.models.text.rapidocr import RapidOcrDetector

            require_package("rapidocr", "rapidocr", "rapidocr")
            require_package("rapidocr", "onnxruntime", "onnxruntime")
            return RapidOcrDetector(config.rapidocr)
