"""Masks over the clip by SAM 2.1, or by EdgeTAM behind the same calls: the weights decide which (recipe, step 9).

Through transformers; never PyPI's sam2, a third party's upload that installs a `training` package over ours.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np
from pydantic import Field

from curation.contract.mask_tube import MaskTube
from curation.contract.spans import scale_points
from curation.models.device import loading, pick_device, pick_dtype, working
from curation.models.masks.protocol import MaskPrompt
from curation.models.model_config import ModelConfig, gpu_share, hub_weights, pinned
from curation.models.weights import find_weights, provenance
from curation.video.media import ClipFrames

_SESSION = "sam2 session"
_OBJECT = 1
_TWO = (1, 2)
_TOUCH = np.ones((7, 7), np.uint8)  # px between two masks within which the objects touch
_REMEDY = "set objects.masks.sam2.device=cpu, or give the worker a larger share of a GPU (engine.worker_gpus)"


class Sam2Config(ModelConfig):
    weights: str = hub_weights("facebook/sam2.1-hiera-large")
    revision: str | None = pinned("665f8e2ad61cf5f53d65644ff27c8ee525124610")
    gpus: float = gpu_share(0.15)
    cached_frames: int = Field(
        default=600,
        ge=1,
        description="frames whose features are kept in main memory, so that a clip's second object costs no second "
        "encoding; 8 MB each in half precision",
    )


class _Loaded(NamedTuple):
    device: Any
    dtype: Any
    processor: Any
    model: Any


class Sam2Masks:
    """MaskTracker. A clip's frames are encoded once, and held in memory for all of its objects."""

    def __init__(self, config: Sam2Config) -> None:
        self._config = config
        self._folder = find_weights("sam2", config)
        self.name = provenance("sam2", config, self._folder)

    def propagate(self, clip: ClipFrames, prompt: MaskPrompt, others: Sequence[np.ndarray] = ()) -> np.ndarray:
        """See MaskTracker. Prompted with the points if there are any (recipe), else with the mask."""
        masks = np.zeros(clip.gray.shape, bool)
        if not prompt.mask.any() and not len(prompt.points):
            return masks
        model = self._loaded
        with working("sam2", model.device, _REMEDY):
            session = self._session(clip)
            session.reset_tracking_data()
            self._prompt(session, clip, prompt)
            for reverse in (False, True):
                for output in model.model.propagate_in_video_iterator(session, prompt.frame, reverse=reverse):
                    size = [[clip.height, clip.width]]
                    found = model.processor.post_process_masks([output.pred_masks.float()], original_sizes=size)
                    masks[output.frame_idx] = found[0][0, 0].cpu().numpy()
        for other in others:
            masks &= ~other
        return masks

    def follow_two(
        self, clip: ClipFrames, frame: int, masks: tuple[np.ndarray, np.ndarray], step: int
    ) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray], bool]]:
        """See MaskTracker. A pixel that both claim is the one's whose logit is higher."""
        model = self._loaded
        with working("sam2", model.device, _REMEDY):
            session = self._session(clip)
            session.reset_tracking_data()
            prompts = list(masks)
            model.processor.add_inputs_to_inference_session(
                session, frame_idx=frame, obj_ids=list(_TWO), input_masks=prompts
            )
            outputs = model.model.propagate_in_video_iterator(session, frame, reverse=step < 0)
        while True:
            # A context for each frame: none of it may reach the caller, who works between two of them.
            with working("sam2", model.device, _REMEDY):
                output = next(outputs, None)
                if output is None:
                    return
                one, two = self._of_two(clip, output)
            if output.frame_idx != frame:  # the first is the prompt's own
                touch = bool((cv2.dilate(one.astype(np.uint8), _TOUCH).view(bool) & two).any())
                yield output.frame_idx, (one, two), touch

    def _of_two(self, clip: ClipFrames, output: Any) -> tuple[np.ndarray, np.ndarray]:
        """The masks of `_TWO`, bool [h, w] each, which do not overlap."""
        logits = output.pred_masks.float()[[output.object_ids.index(number) for number in _TWO]]
        size = [[clip.height, clip.width]]
        both = self._loaded.processor.post_process_masks([logits], original_sizes=size, binarize=False)[0][:, 0]
        one, two = (both > 0) & (both == both.amax(0))
        return one.cpu().numpy(), (two & ~one).cpu().numpy()

    def sharpened(self, clip: ClipFrames, masks: MaskTube, others: Sequence[MaskTube]) -> MaskTube:
        """See MaskTracker. The network's edges are as exact as it makes them."""
        return masks

    def _prompt(self, session: Any, clip: ClipFrames, prompt: MaskPrompt) -> None:
        add = self._loaded.processor.add_inputs_to_inference_session
        if len(prompt.points):
            scale_x, scale_y = clip.scale
            points = scale_points(prompt.points, 1 / scale_x, 1 / scale_y).tolist()
            labels = [[[1] * len(points)]]
            add(session, frame_idx=prompt.frame, obj_ids=_OBJECT, input_points=[[points]], input_labels=labels)
        else:
            add(session, frame_idx=prompt.frame, obj_ids=_OBJECT, input_masks=prompt.mask)

    def _session(self, clip: ClipFrames) -> Any:
        """The clip as the model keeps it; goes when the clip does."""
        if _SESSION not in clip.cache:
            model = self._loaded
            clip.cache[_SESSION] = model.processor.init_video_session(
                video=clip.frames,
                inference_device=model.device,
                inference_state_device="cpu",
                video_storage_device="cpu",
                processing_device="cpu",
                max_vision_features_cache_size=self._config.cached_frames,
                dtype=model.dtype,
            )
        return clip.cache[_SESSION]

    @cached_property
    def _loaded(self) -> _Loaded:
        with loading("sam2", self._folder):
            from transformers import AutoModel, Sam2VideoProcessor

            device = pick_device(self._config)
            dtype = pick_dtype(self._config, device)
            model = AutoModel.from_pretrained(self._folder, dtype=dtype, local_files_only=True)
            if not hasattr(model, "propagate_in_video_iterator"):
                raise TypeError(f"{type(model).__name__} does not follow objects through a video")
            processor = Sam2VideoProcessor.from_pretrained(self._folder, local_files_only=True)
            return _Loaded(device, dtype, processor, model.eval().to(device))
