"""Complexity by ICNet (Feng et al. 2023, IC9600), from a checkout of its code. No licence is stated there."""

import warnings
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np
from pydantic import Field

from curation.models.checkout import import_code, require_code
from curation.models.device import autocast, loading, pick_device, pick_dtype, working
from curation.models.model_config import ModelConfig, gpu_share
from curation.models.weights import find_weights, provenance

REPOSITORY = "https://github.com/tinglyfeng/IC9600"
_SIDE = 512  # px; the network takes no other size
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as it was trained


class IcNetConfig(ModelConfig):
    weights: str = Field(
        default="ck.pth",
        description="file of the published weights; its authors give them out by Google Drive",
    )
    gpus: float = gpu_share(0.05)
    code: str | None = Field(default=None, description="folder of a checkout of tinglyfeng/IC9600")


class _Loaded(NamedTuple):
    device: Any
    dtype: Any
    model: Any


class IcNet:
    """Scores how complex a picture is."""

    def __init__(self, config: IcNetConfig) -> None:
        self._config = config
        require_code("icnet", "ICNet", config.code, REPOSITORY)
        self._file = find_weights("icnet", config)
        self.name = provenance("icnet", config, self._file)

    def complexity(self, picture: np.ndarray) -> float:
        """0 (simple) to 1 for an RGB uint8 [H, W, 3] picture."""
        import torch

        model = self._loaded
        square = cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        values = ((square - np.array(_MEAN, np.float32)) / np.array(_DEVIATION, np.float32)).transpose(2, 0, 1)
        remedy = "set image_scores.quality.icnet.device=cpu"
        with working("icnet", model.device, remedy), autocast(model.device, model.dtype):
            score, _ = model.model(torch.from_numpy(values)[None].to(model.device))
            return float(score)

    @cached_property
    def _loaded(self) -> _Loaded:
        with loading("icnet", self._file):
            import torch

            device = pick_device(self._config)
            code = import_code("ICNet", self._config.code)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it calls torchvision as one did in 2021
                model = code.ICNet(is_pretrain=False)
            model.load_state_dict(torch.load(self._file, map_location="cpu", weights_only=True))
            return _Loaded(device, pick_dtype(self._config, device), model.eval().to(device))
