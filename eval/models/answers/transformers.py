"""A vision-language model through transformers: Qwen2.5-VL and others that take a video in a chat template."""

from typing import Any

import numpy as np
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from eval.models.weights import device, folder_name
from training.models.weights import fetch

_MOST_TOKENS = 64


class TransformersAnswerer:
    """A `QuestionAnswerer` that decodes greedily.

    Raises:
        BackendUnavailableError: the weights are not here and cannot be fetched.
    """

    def __init__(self, weights: str, revision: str | None = None) -> None:
        folder = fetch(weights, revision, backend="transformers", setting="vlm.transformers.weights")
        self.name = folder_name(folder, weights)
        self.processor = AutoProcessor.from_pretrained(folder)
        self.model: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype="auto").eval()
        self.model.to(device())

    @torch.inference_mode()
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
        inputs = self.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"do_sample_frames": False, "video_metadata": [metadata]},
        ).to(self.model.device)
        reply = self.model.generate(**inputs, max_new_tokens=_MOST_TOKENS, do_sample=False)
        return self.processor.batch_decode(reply[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)[0]
