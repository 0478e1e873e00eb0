"""Quality and aesthetic by pyiqa: CLIP-IQA+ (Wang et al. 2023), NIMA (Talebi and Milanfar 2018); recipe, step 3.

pyiqa is licensed for non-commercial use, and fetches weights itself; here only what it has fetched already is used.
"""

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from curation.contract.errors import BackendUnavailableError
from curation.models.device import autocast, loading, pick_device, pick_dtype, working
from curation.models.model_config import DeviceConfig, gpu_share
from curation.models.packages import require_package, revision

METRICS = {"image_quality": "clipiqa+", "aesthetic": "nima"}
_FILES = ("CLIP-IQA+_learned_prompts-603f3273.pth", "NIMA_InceptionV2_ava-b0c77c00.pth")
FETCH = f"""python -c "import pyiqa; [pyiqa.create_metric(name) for name in {tuple(METRICS.values())}]\""""


class PyIqaConfig(DeviceConfig):
    gpus: float = gpu_share(0.1)


class PyIqaMetrics:
    """Scores that are the better the higher: image_quality in 0..1, aesthetic in 1..10."""

    def __init__(self, config: PyIqaConfig) -> None:
        self._config = config
        require_package("pyiqa", "pyiqa", "pyiqa")
        absent = [file for file in _FILES if not (weights_folder() / file).is_file()]
        if absent:
            raise BackendUnavailableError(
                "pyiqa", f"the weights {' and '.join(absent)} in {weights_folder()}", f"run: {FETCH}"
            )
        self.name = f"{revision('pyiqa', 'pyiqa')} {'+'.join(_FILES)} config {config.fingerprint()}"

    def scores(self, picture: np.ndarray) -> dict[str, float]:
        """One score per key of METRICS for an RGB uint8 [H, W, 3] picture."""
        import torch

        device, metrics = self._loaded
        dtype = pick_dtype(self._config, device)
        values = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]
        with working("pyiqa", device, "set image_scores.quality.pyiqa.device=cpu"), autocast(device, dtype):
            return {column: float(metric(values.to(device))) for column, metric in metrics.items()}

    @cached_property
    def _loaded(self) -> tuple[Any, dict[str, Any]]:
        with loading("pyiqa", weights_folder()):
            import pyiqa  # pyright: ignore[reportMissingImports] - optional

            device = pick_device(self._config)
            return device, {column: pyiqa.create_metric(name, device=device) for column, name in METRICS.items()}


def weights_folder() -> Path:
    """Where pyiqa keeps its weights: inside torch.hub's folder, by its own environment variables."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("TORCH_HOME") or cache / "torch") / "hub" / "pyiqa"
