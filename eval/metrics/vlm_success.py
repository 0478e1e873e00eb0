"""VLM success: whether a vision-language model says of the generated video what it says of the ground truth.

Source: Frame In-N-Out (arXiv 2505.21491): Qwen2.5-VL-32B is shown 14 frames of the region and asked whether the object
enters (leaves) the frame; the share of videos with equal answers. The release drops a video when the answer for the
ground truth is neither yes nor no. Here an answer that cannot be read is a failure, and is counted.
"""

import re
from typing import Literal, NamedTuple

from eval.metrics.event_accuracy import Kind

Answer = Literal["yes", "no", "unparsable"]
FRAMES = 14
QUESTIONS: dict[Kind, str] = {
    "frame_in": "Does the object enter the frame? Answer with yes or no only.",
    "frame_out": "Does the object leave the frame? Answer with yes or no only.",
}


class VlmScore(NamedTuple):
    answer: Answer
    true_answer: Answer

    @property
    def success(self) -> bool:
        return self.answer == self.true_answer != "unparsable"

    @property
    def unparsable(self) -> bool:
        return "unparsable" in self


def parse_answer(text: str) -> Answer:
    """The yes or no that a reply begins with, whatever case, quotes or thinking stand around it."""
    reply = re.sub(r"<think>.*?</think>", "", text, flags=re.DOTALL | re.IGNORECASE)
    words = re.findall(r"[a-z]+", reply.lower())
    if words and words[0] in ("yes", "no"):
        return "yes" if words[0] == "yes" else "no"
    return "unparsable"
