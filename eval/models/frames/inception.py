"""Inception-v3 as FID is defined on it: torchmetrics' copy of torch-fidelity's network, 2048 pooled features."""

from pathlib import Path
from urllib.error import URLError

import numpy as np
import torch
from torchmetrics.image.fid import FrechetInceptionDistance

from curation.contract.errors import BackendUnavailableError
from curation.models.packages import require_package, revision
from eval.models.weights import device, download

_BATCH = 16
_URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
_SETTING = "fid.inception.weights"


class Inception:
    """A `FrameFeatures`.

    Raises:
        BackendUnavailableError: torch-fidelity is not installed, or its weights are not here and cannot be fetched.
    """

    def __init__(self, weights: str | None = None) -> None:
        require_package("inception", "torch_fidelity", "torch-fidelity")
        if weights is not None and not Path(weights).is_file():
            raise BackendUnavailableError("inception", f"the file {weights}", download(_URL, _SETTING))
        try:
            metric = FrechetInceptionDistance(2048, feature_extractor_weights_path=weights)
        except (URLError, OSError) as error:
            remedy = f"{download(_URL, _SETTING)} ({error})"
            raise BackendUnavailableError("inception", "weights that are not on this machine", remedy) from None
        self.name = f"inception {revision('torch-fidelity', 'torch-fidelity')}"
        self.device = device()
        self.network = metric.inception.eval().to(self.device)

    @torch.inference_mode()
    def describe(self, pictures: np.ndarray) -> np.ndarray:
        """See `FrameFeatures.describe`; D = 2048. Resizing to 299 px is the network's."""
        made = []
        for start in range(0, len(pictures), _BATCH):
            pixels = torch.from_numpy(np.ascontiguousarray(pictures[start : start + _BATCH])).to(self.device)
            made.append(self.network(pixels.permute(0, 3, 1, 2)).float().cpu().numpy())
        return np.concatenate(made)
