"""Questions about a video."""

from typing import Protocol

import numpy as np


class QuestionAnswerer(Protocol):
    name: str
    """Model and revision, for the scores."""

    def answer(self, frames: np.ndarray, fps: float, question: str) -> str:
        """The model's reply, as it wrote it, to a question about frames uint8 [T, h, w, 3] RGB.

        Raises:
            ModelError: there was no reply.
        """
        ...
