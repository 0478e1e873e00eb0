"""SAM 2.1 by box or clicks, through transformers (never PyPI's sam2, which installs a `training` package over ours)."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from transformers import Sam2Model, Sam2Processor

from curation.contract.errors import BackendUnavailableError
from inference.segmentation import Box, ClickLike

WEIGHTS = "facebook/sam2.1-hiera-small"


class Sam2:
    """A `Segmenter` with the weights of a Hugging Face repository that is on this machine, or of a folder.

    Raises:
        BackendUnavailableError: the weights are not here.
    """

    def __init__(self, weights: str = WEIGHTS) -> None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self.processor = Sam2Processor.from_pretrained(weights, local_files_only=True)
            self.model = Sam2Model.from_pretrained(weights, local_files_only=True).eval()
            self.model.to(torch.device(device))  # pyright: ignore[reportArgumentType] - a wrapped method of transformers
        except OSError:
            raise BackendUnavailableError("sam2", f"the weights {weights}", f"hf download {weights}") from None

    def __call__(self, picture: np.ndarray, box: Box | None, clicks: Sequence[ClickLike]) -> np.ndarray:
        """See `Segmenter`."""
        prompts = {}
        if box is not None:
            prompts["input_boxes"] = [[[float(side) for side in box]]]
        if clicks:
            prompts["input_points"] = [[[[float(click.x), float(click.y)] for click in clicks]]]
            prompts["input_labels"] = [[[int(click.keep) for click in clicks]]]
        inputs = self.processor(images=picture, return_tensors="pt", **prompts).to(self.model.device)
        with torch.inference_mode():
            masks = self.model(**inputs, multimask_output=False).pred_masks
        full = self.processor.post_process_masks(masks.cpu(), inputs["original_sizes"])
        return full[0][0, 0].numpy().astype(bool)


@lru_cache(maxsize=1)
def _loaded() -> Sam2:
    return Sam2()


def sam2(picture: np.ndarray, box: Box | None, clicks: Sequence[ClickLike]) -> np.ndarray:
    """See `Segmenter`; loads the weights when first called."""
    return _loaded()(picture, box, clicks)
