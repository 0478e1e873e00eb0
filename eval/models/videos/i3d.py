"""I3D trained on Kinetics-400, the features of the literature's FVD, as the TorchScript file that StyleGAN-V uses."""

import warnings
from pathlib import Path

import numpy as np
import torch

from curation.contract.errors import BackendUnavailableError
from eval.models.weights import device, folder_name
from training.models.weights import fetch

_FILE = "i3d_torchscript.pt"
_SETTING = "fvd.i3d.weights"


class I3d:
    """A `VideoFeatures`: the 400 values before the softmax. It needs ten frames or more.

    Raises:
        BackendUnavailableError: the file is not here and cannot be fetched.
    """

    def __init__(self, weights: str, revision: str | None = None) -> None:
        given = Path(weights).expanduser()
        folder = given.parent if given.is_file() else fetch(weights, revision, backend="i3d", setting=_SETTING)
        file = given if given.is_file() else folder / _FILE
        if not file.is_file():
            raise BackendUnavailableError("i3d", f"the file {file}", f"name {_FILE} or its folder in {_SETTING}")
        self.name = f"i3d {weights if given.exists() else folder_name(folder, weights)}"
        self.device = device()
        with warnings.catch_warnings():  # the weights are published in no other form
            warnings.filterwarnings("ignore", "`torch.jit.load`", FutureWarning)
            self.network = torch.jit.load(str(file), map_location=self.device).eval()

    @torch.inference_mode()
    def describe(self, frames: np.ndarray) -> np.ndarray:
        """See `VideoFeatures.describe`; D = 400. Scaling to -1..1 and resizing to 224 px are the network's."""
        pixels = torch.from_numpy(np.ascontiguousarray(frames)).to(self.device)
        video = pixels.permute(3, 0, 1, 2)[None].float()
        features = self.network(video, rescale=True, resize=True, return_features=True)
        return features[0].float().cpu().numpy()
