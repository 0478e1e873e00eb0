"""Text area by RapidOCR's detector (PP-OCR, DB head) on onnxruntime; nothing is read, letters are only found."""

from functools import cached_property
from typing import Any

import cv2
import numpy as np
from pydantic import Field

from curation.contract.config import Config
from curation.models.packages import revision


class RapidOcrConfig(Config):
    limit_side: int = Field(default=736, ge=32, description="longer side that pictures are shrunk to, px")
    box_score: float = Field(default=0.6, ge=0, le=1, description="least mean text probability of a box (PP-OCR's own)")
    tallest_line: float = Field(
        default=0.25,
        gt=0,
        description="a box thicker than this share of the picture's shorter side is no line of text: on real footage "
        "lettering took up to .10, bare ground and water, for which the detector falls, .3 to 1",
    )


class RapidOcrDetector:
    """TextDetector. Loads its weights with the first picture; one thread, so that a worker takes one core."""

    def __init__(self, config: RapidOcrConfig | None = None) -> None:
        self.config = config or RapidOcrConfig()
        self.name = revision("rapidocr", "rapidocr")

    def area(self, picture: np.ndarray) -> float:
        covered = np.zeros(picture.shape[:2], np.uint8)
        for polygon in self.polygons(picture):  # one by one: all at once, fillPoly leaves holes where they overlap
            cv2.fillPoly(covered, [np.rint(polygon).astype(np.int32)], (1,))
        return float(covered.mean())

    def polygons(self, picture: np.ndarray) -> list[np.ndarray]:
        """Lines of text in an RGB uint8 [H, W, 3] picture: float32 [4, 2] corners (x, y) each, px."""
        found = self._reader(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)).boxes
        tallest = self.config.tallest_line * min(picture.shape[:2])
        # Nothing found comes as None, in a result of another type.
        return [polygon for polygon in (found if found is not None else []) if _thickness(polygon) <= tallest]

    @cached_property
    def _reader(self) -> Any:
        from rapidocr import RapidOCR

        return RapidOCR(
            params={
                "Global.use_cls": False,
                "Global.use_rec": False,
                "Global.log_level": "critical",  # it warns about every picture without text
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "Det.limit_type": "max",
                "Det.limit_side_len": self.config.limit_side,
                "Det.box_thresh": self.config.box_score,
            }
        )


def _thickness(polygon: np.ndarray) -> float:
    _, sides, _ = cv2.minAreaRect(polygon.astype(np.float32))
    return min(sides)
