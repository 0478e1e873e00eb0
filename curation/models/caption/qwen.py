"""Captions by Qwen2.5-VL or Qwen3-VL in this process, through transformers (recipe, step 6)."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from curation.contract.errors import ModelError
from curation.models.caption.prompt import PromptConfig, plain_caption
from curation.models.caption.protocol import CaptionRequest
from curation.models.device import loading, pick_device, pick_dtype, working
from curation.models.model_config import ModelConfig, gpu_share, hub_weights, pinned
from curation.models.usage import count
from curation.models.weights import find_weights, provenance


class QwenConfig(PromptConfig, ModelConfig):
    weights: str = hub_weights("Qwen/Qwen2.5-VL-32B-Instruct")
    revision: str | None = pinned("7cfb30d71a1f4f49a57592323337a4a4727301da")
    gpus: float = gpu_share(0.6)
    batch_size: int = Field(default=4, ge=1, description="clips that are captioned together")


class _Loaded(NamedTuple):
    device: Any
    processor: Any
    model: Any


class QwenCaptioner:
    """Captioner. Greedy, so that the same pictures get the same words."""

    def __init__(self, config: QwenConfig) -> None:
        self._config = config
        self._folder = find_weights("qwen", config)
        self.name = provenance("qwen", config, self._folder)
        self.sampling = config.sampling

    def captions(self, requests: Sequence[CaptionRequest]) -> list[str | ModelError]:
        """See Captioner. A batch that does not fit into memory costs the clips of that batch."""
        requests = [_two_pictures(request) for request in requests]
        answers: list[str | ModelError] = []
        for start in range(0, len(requests), self._config.batch_size):
            batch = requests[start : start + self._config.batch_size]
            try:
                answers += [self._checked(text) for text in self._generate(batch)]
            except ModelError as error:
                answers += [error] * len(batch)
        return answers

    def _checked(self, text: str) -> str | ModelError:
        try:
            return plain_caption("qwen", text)
        except ModelError as error:
            return error

    def _generate(self, batch: Sequence[CaptionRequest]) -> list[str]:
        model = self._loaded
        with working("qwen", model.device, "set captions.qwen.batch_size lower, or serve the model (backend: server)"):
            inputs = model.processor.apply_chat_template(
                [self._conversation(request) for request in batch],
                tokenize=True,
                add_generation_prompt=True,
                return_dict=True,
                return_tensors="pt",
                processor_kwargs={
                    "do_sample_frames": False,  # they are sampled already
                    "video_metadata": [[_metadata(request)] for request in batch],
                    "cap_pixels_per_frame": True,  # as Qwen's own code does; unsaid, it warns at every call
                    "padding": True,
                },
            ).to(model.device)
            made = model.model.generate(**inputs, max_new_tokens=self._config.max_new_tokens, do_sample=False)
            new = made[:, inputs["input_ids"].shape[1] :]
            count("caption prompt tokens", int(inputs["attention_mask"].sum()))
            count("caption answer tokens", int((new != model.processor.tokenizer.pad_token_id).sum()))
            return model.processor.batch_decode(new, skip_special_tokens=True)

    def _conversation(self, request: CaptionRequest) -> list[dict[str, Any]]:
        content = [{"type": "video", "video": request.pictures}, {"type": "text", "text": self._config.prompt}]
        return [{"role": "user", "content": content}]

    @cached_property
    def _loaded(self) -> _Loaded:
        with loading("qwen", self._folder):
            from transformers import AutoModelForImageTextToText, AutoProcessor

            device = pick_device(self._config)
            dtype = pick_dtype(self._config, device)
            processor = AutoProcessor.from_pretrained(self._folder, local_files_only=True)
            processor.tokenizer.padding_side = "left"  # answers begin where prompts end
            model: Any = AutoModelForImageTextToText.from_pretrained(self._folder, dtype=dtype, local_files_only=True)
            settings = model.generation_config
            settings.temperature = settings.top_p = settings.top_k = None  # greedy; else it warns at every call
            return _Loaded(device, processor, model.eval().to(device))


def _two_pictures(request: CaptionRequest) -> CaptionRequest:
    """With its only picture twice: the networks see pictures in pairs, and Qwen3-VL refuses a single one."""
    if len(request.frames) > 1:
        return request
    pictures, frames = np.repeat(request.pictures, 2, axis=0), np.repeat(request.frames, 2)
    return replace(request, pictures=pictures, frames=frames)


def _metadata(request: CaptionRequest) -> dict[str, Any]:
    """Without it the processor takes the pictures for neighbours at 24 frames a second."""
    height, width = request.pictures.shape[1:3]
    total = int(request.frames[-1]) + 1
    return {
        "fps": request.fps,
        "total_num_frames": total,
        "frames_indices": request.frames.tolist(),
        "height": height,
        "width": width,
        "duration": total / request.fps,
    }
