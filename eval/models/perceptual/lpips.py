"""LPIPS (Zhang et al. 2018) from torchmetrics, which holds its linear weights; the network's own are torchvision's."""

from typing import Literal
from urllib.error import URLError

import numpy as np
import torch
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

from curation.contract.errors import BackendUnavailableError
from curation.models.packages import revision
from eval.models.weights import device, download

_FILES = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth", "squeeze": "squeezenet1_1-b8a52dc0.pth"}


class Lpips:
    """A `PerceptualDistance`.

    Raises:
        BackendUnavailableError: the network's weights are not here and cannot be fetched.
    """

    def __init__(self, network: Literal["alex", "vgg", "squeeze"]) -> None:
        try:
            metric = LearnedPerceptualImagePatchSimilarity(net_type=network, normalize=True)
        except (URLError, OSError) as error:
            remedy = f"{download(f'https://download.pytorch.org/models/{_FILES[network]}')} ({error})"
            raise BackendUnavailableError("lpips", "weights that are not on this machine", remedy) from None
        self.name = f"lpips-{network} {revision('torchmetrics', 'torchmetrics')}"
        self.device = device()
        self.metric = metric.to(self.device)

    @torch.inference_mode()
    def distance(self, frames: np.ndarray, true_frames: np.ndarray) -> np.ndarray:
        """See `PerceptualDistance.distance`."""
        pairs = zip(self._planes(frames), self._planes(true_frames), strict=True)
        return np.array([float(self.metric(own[None], truth[None])) for own, truth in pairs])

    def _planes(self, frames: np.ndarray) -> torch.Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(frames)).to(self.device)
        return pixels.permute(0, 3, 1, 2).float() / 255
