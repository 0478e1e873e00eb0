"""DINOv2 through transformers: the class token after the last norm."""

import numpy as np
import torch
from transformers import Dinov2Model

from eval.models.weights import device, folder_name
from training.models.weights import fetch

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, which DINOv2 was trained with
_SHORT_SIDE = 224
_BATCH = 16


class Dinov2:
    """A `FrameFeatures`. ViT-B/14 (`facebook/dinov2-base`) is the paper's.

    Raises:
        BackendUnavailableError: the weights are not here and cannot be fetched.
    """

    def __init__(self, weights: str, revision: str | None = None) -> None:
        folder = fetch(weights, revision, backend="dinov2", setting="dinov2.weights of look or fid")
        self.name = f"dinov2 {folder_name(folder, weights)}"
        self.device = device()
        self.model = Dinov2Model.from_pretrained(folder).eval()
        self.model.to(self.device)  # pyright: ignore[reportArgumentType] - a wrapped method of transformers

    @torch.inference_mode()
    def describe(self, pictures: np.ndarray) -> np.ndarray:
        """See `FrameFeatures.describe`; D = 768 for ViT-B."""
        made = []
        for start in range(0, len(pictures), _BATCH):
            pixels = torch.from_numpy(np.ascontiguousarray(pictures[start : start + _BATCH])).to(self.device)
            made.append(self.model(self._prepared(pixels)).pooler_output.float().cpu().numpy())
        return np.concatenate(made)

    def _prepared(self, pixels: torch.Tensor) -> torch.Tensor:
        """[N, 3, h, w], the short side 224 px and both a multiple of the patch, as far as that goes."""
        height, width = pixels.shape[1:3]
        scale = _SHORT_SIDE / min(height, width)
        patch = int(self.model.config.patch_size)  # pyright: ignore[reportArgumentType] - an int in every DINOv2
        size = [max(patch, round(side * scale / patch) * patch) for side in (height, width)]
        planes = pixels.permute(0, 3, 1, 2).float() / 255
        planes = torch.nn.functional.interpolate(planes, size, mode="bilinear", antialias=True)
        mean, deviation = (torch.tensor(part, device=planes.device)[:, None, None] for part in (_MEAN, _DEVIATION))
        return (planes - mean) / deviation
