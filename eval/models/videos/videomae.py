"""VideoMAE through transformers: features that see motion better than I3D's (Ge et al. 2024).

Their numbers are of a ViT-g of 1 B parameters that transformers has no copy of: compare runs, not papers.
"""

import numpy as np
import torch
from transformers import VideoMAEModel

from eval.models.weights import device, folder_name
from training.models.weights import fetch

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as its processor has it


class VideoMae:
    """A `VideoFeatures`: the mean over patches of the last layer.

    Raises:
        BackendUnavailableError: the weights are not here and cannot be fetched.
    """

    def __init__(self, weights: str, revision: str | None = None) -> None:
        folder = fetch(weights, revision, backend="videomae", setting="fvd.videomae.weights")
        self.name = f"videomae {folder_name(folder, weights)}"
        self.device = device()
        self.model = VideoMAEModel.from_pretrained(folder).eval()
        self.model.to(self.device)  # pyright: ignore[reportArgumentType] - a wrapped method of transformers

    @torch.inference_mode()
    def describe(self, frames: np.ndarray) -> np.ndarray:
        """See `VideoFeatures.describe`; D = 768 for ViT-B. Takes as many evenly spaced frames as the model does."""
        config = self.model.config
        chosen = np.linspace(0, len(frames) - 1, config.num_frames).round().astype(int)
        pixels = torch.from_numpy(np.ascontiguousarray(frames[chosen])).to(self.device)
        planes = pixels.permute(0, 3, 1, 2).float() / 255
        side = int(config.image_size)  # pyright: ignore[reportArgumentType] - an int in every VideoMAE
        planes = torch.nn.functional.interpolate(planes, [side, side], mode="bilinear", antialias=True)
        mean, deviation = (torch.tensor(part, device=planes.device)[:, None, None] for part in (_MEAN, _DEVIATION))
        return self.model(((planes - mean) / deviation)[None]).last_hidden_state[0].mean(dim=0).float().cpu().numpy()
