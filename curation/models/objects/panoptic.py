"""Objects by panoptic segmentation: OneFormer, Mask2Former or EoMT, whichever the weights are of (recipe, step 4)."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from curation.models.device import autocast, loading, pick_device, pick_dtype, working
from curation.models.model_config import ModelConfig, gpu_share, hub_weights, pinned
from curation.models.objects.coco import MOVABLE_CLASSES, THINGS
from curation.models.objects.protocol import Detection
from curation.models.weights import find_weights, provenance
from curation.video.media import ClipFrames


class PanopticConfig(ModelConfig):
    weights: str = hub_weights("shi-labs/oneformer_coco_swin_large")
    # No pin: its commit could not be looked up where this was written. `doctor` says so.
    revision: str | None = pinned(None)
    gpus: float = gpu_share(0.1)
    batch_size: int = Field(default=4, ge=1, description="frames of a clip that go through the network together")
    classes: tuple[str, ...] = Field(
        default=MOVABLE_CLASSES, description="labels that are objects; other segments are dropped (recipe, step 4)"
    )
    threshold: float = Field(default=0.8, ge=0, le=1, description="least score of a segment (recipe)")
    overlap: float = Field(
        default=0.8, ge=0, le=1, description="share of a mask that must be left after better ones took theirs (recipe)"
    )


class _Loaded(NamedTuple):
    device: Any
    dtype: Any
    processor: Any
    model: Any
    task: bool
    """OneFormer is told by a sentence what is wanted of it."""


class PanopticDetector:
    """ObjectDetector. Stuff (sky, grass, flowers) is one segment a frame, things are one each."""

    def __init__(self, config: PanopticConfig) -> None:
        self._config = config
        self._folder = find_weights("panoptic", config)
        self.name = provenance("panoptic", config, self._folder)

    def detect(self, clip: ClipFrames, frames: Sequence[int]) -> dict[int, list[Detection]]:
        """See ObjectDetector. The largest object comes first."""
        found: dict[int, list[Detection]] = {}
        if not frames:
            return found
        model = self._loaded
        remedy = "set objects.detector.panoptic.batch_size lower"
        with working("panoptic", model.device, remedy), autocast(model.device, model.dtype):
            for start in range(0, len(frames), self._config.batch_size):
                batch = frames[start : start + self._config.batch_size]
                segmented = self._segment(clip.frames[list(batch)])
                found |= {frame: self._objects(result) for frame, result in zip(batch, segmented, strict=True)}
        return found

    def _segment(self, pictures: np.ndarray) -> list[dict[str, Any]]:
        """Panoptic segmentation of uint8 [N, h, w, 3] pictures, each with `segmentation` [h, w] and `segments_info`."""
        model = self._loaded
        task = {"task_inputs": ["panoptic"] * len(pictures)} if model.task else {}
        inputs = model.processor(images=list(pictures), return_tensors="pt", **task)
        # EoMT's processor also says where each picture lies on its canvas, which the model does not ask for.
        inputs = {name: value.to(model.device) for name, value in inputs.items() if hasattr(value, "to")}
        outputs = model.model(**inputs)
        outputs.masks_queries_logits = outputs.masks_queries_logits.float()
        outputs.class_queries_logits = outputs.class_queries_logits.float()
        # Nothing is fused here: transformers 5.23 gives the thing after a repeated stuff segment an id that is taken.
        whole = {"stuff_classes": []} if model.model.config.model_type == "eomt" else {"label_ids_to_fuse": set()}
        return self._images(model.processor).post_process_panoptic_segmentation(
            outputs,
            threshold=self._config.threshold,
            overlap_mask_area_threshold=self._config.overlap,
            target_sizes=[pictures.shape[1:3]] * len(pictures),
            **whole,
        )

    def _objects(self, result: dict[str, Any]) -> list[Detection]:
        names = self._loaded.model.config.id2label
        segments = result["segmentation"].cpu().numpy()
        things: list[Detection] = []
        stuff: dict[str, Detection] = {}
        for segment in result["segments_info"]:
            found = Detection(segments == segment["id"], names[segment["label_id"]], float(segment["score"]))
            if found.label not in self._config.classes or not found.mask.any():
                continue
            if found.label in THINGS:
                things.append(found)
            else:
                known = stuff.get(found.label, found)
                stuff[found.label] = replace(known, mask=known.mask | found.mask, score=max(known.score, found.score))
        return sorted([*things, *stuff.values()], key=lambda detection: -np.count_nonzero(detection.mask))

    @staticmethod
    def _images(processor: Any) -> Any:
        return getattr(processor, "image_processor", processor)

    @cached_property
    def _loaded(self) -> _Loaded:
        with loading("panoptic", self._folder):
            from transformers import AutoConfig, AutoModelForUniversalSegmentation

            device = pick_device(self._config)
            settings = AutoConfig.from_pretrained(self._folder, local_files_only=True)
            model = AutoModelForUniversalSegmentation.from_pretrained(self._folder, local_files_only=True)
            return _Loaded(
                device,
                pick_dtype(self._config, device),
                _processor(self._folder, settings),
                model.eval().to(device),
                settings.model_type == "oneformer",
            )


def _processor(folder: Path, settings: Any) -> Any:
    if settings.model_type != "oneformer":
        from transformers import AutoImageProcessor

        return AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    from transformers import CLIPTokenizer, OneFormerImageProcessor, OneFormerProcessor

    # The published processor fetches its class names from another repository, for training only.
    images = OneFormerImageProcessor.from_pretrained(folder, class_info_file=None, local_files_only=True)
    tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    return OneFormerProcessor(images, tokenizer, settings.max_seq_len, settings.task_seq_len)
