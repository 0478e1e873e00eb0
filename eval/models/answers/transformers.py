"""A vision-language model through transformers: Qwen2.5-VL and others that take a video in a chat template."""

from typing import Any

import numpy as np
from transformers import AutoModelForImageTextToText, AutoProcessor

from curation.models.device import loading, working
from eval.models.weights import device, folder_name
from training.models.weights import fetch

_MOST_TOKENS = 64
_REMEDY = "serve the model (vlm.backend=server), or name a smaller one in vlm.transformers.weights"


class TransformersAnswerer:
    """A `QuestionAnswerer` that decodes greedily.

    Raises:
        BackendUnavailableError: the weights are not here and cannot be fetched.
    """

    def __init__(self, weights: str, revision: str | None = None) -> None:
        folder = fetch(weights, revision, backend="transformers", setting="vlm.transformers.weights")
        self.name = folder_name(folder, weights)
        self.device = device()
        with loading("transformers", folder):
            self.processor = AutoProcessor.from_pretrained(folder)
            self.model: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype="auto").eval()
            self.model.to(self.device)

    def answer(self, frames: np.ndarray, fps: float, question: str) -> str:
        """See `QuestionAnswerer.answer`."""
        count, height, width, _ = frames.shape
        content = [{"type": "video", "video": frames}, {"type": "text", "text": question}]
        metadata = {
            "fps": fps,
            "total_num_frames": count,
            "frames_indices": list(range(count)),
            "height": height,
            "width": width,
            "duration": count / fps,
        }
        with working("transformers", self.device, _REMEDY):
            return self._reply(content, metadata)

    def _reply(self, content: list[dict[str, Any]], metadata: dict[str, Any]) -> str:
        inputs = self.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"do_sample_frames": False, "video_metadata": [metadata]},
        ).to(self.device)
        reply = self.model.generate(**inputs, max_new_tokens=_MOST_TOKENS, do_sample=False)
        return self.processor.batch_decode(reply[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)[0]
