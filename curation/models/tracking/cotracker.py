"""Point tracks by CoTracker3, offline: every frame at once, both ways (recipe, step 7). Its licence is CC-BY-NC-4.0."""

from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from curation.contract.mask_tube import Masks
from curation.models.checkout import import_code, require_code
from curation.models.device import autocast, loading, pick_device, pick_dtype, working
from curation.models.model_config import ModelConfig, gpu_share, hub_weights, pinned
from curation.models.tracking.learned import finished, to_pixels
from curation.models.weights import find_weights, provenance
from curation.video.media import ClipFrames

REPOSITORY = "https://github.com/facebookresearch/co-tracker"
_FILE = "scaled_offline.pth"
_WINDOW = 60  # frames; what the published offline weights were trained with


class CoTrackerConfig(ModelConfig):
    weights: str = hub_weights("facebook/cotracker3")
    revision: str | None = pinned("bf55ea50d4390e1820a267f131cd6587240fb2c5")
    gpus: float = gpu_share(0.15)
    code: str | None = Field(
        default=None, description="folder of a checkout of facebookresearch/co-tracker; null: it is installed"
    )
    batch_points: int = Field(
        default=512, ge=1, description="points that are tracked together; they support each other, so more is better"
    )


class _Loaded(NamedTuple):
    device: Any
    dtype: Any
    predictor: Any


class CoTracker:
    """PointTracker. The network works at 384x512, whatever the clip's size."""

    def __init__(self, config: CoTrackerConfig) -> None:
        self._config = config
        require_code("cotracker3", "cotracker.predictor", config.code, REPOSITORY)
        self._folder = find_weights("cotracker3", config)
        self.name = provenance("cotracker3", config, self._folder)

    def track(
        self, clip: ClipFrames, queries: np.ndarray, masks: list[Masks | None] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See PointTracker. Needs no masks."""
        queries = np.asarray(queries, np.float32).reshape(-1, 3)
        points = np.zeros((clip.length, len(queries), 2), np.float32)
        visible = np.zeros((clip.length, len(queries)), bool)
        wanted = to_pixels(clip, queries, clip.width, clip.height)
        if clip.length == 1 or not len(queries):  # nothing to follow; the network fails on a single frame
            points[:] = wanted[None, :, 1:]
            return finished(clip, queries, points, visible, clip.width, clip.height)
        import torch

        model = self._loaded
        remedy = "set tracking.cotracker3.batch_points lower, or clips.longest"
        with working("cotracker3", model.device, remedy), autocast(model.device, model.dtype):
            video = torch.from_numpy(clip.frames).permute(0, 3, 1, 2)[None].float().to(model.device)
            for start in range(0, len(queries), self._config.batch_points):
                part = slice(start, start + self._config.batch_points)
                asked = torch.from_numpy(wanted[part])[None].to(model.device)
                tracks, seen = model.predictor(video, queries=asked, backward_tracking=True)
                points[:, part] = tracks[0].float().cpu().numpy()
                visible[:, part] = seen[0].cpu().numpy()
        return finished(clip, queries, points, visible, clip.width, clip.height)

    @cached_property
    def _loaded(self) -> _Loaded:
        with loading("cotracker3", self._folder):
            device = pick_device(self._config)
            module = import_code("cotracker.predictor", self._config.code)
            predictor = module.CoTrackerPredictor(checkpoint=None, offline=True, window_len=_WINDOW)
            predictor.model.load_state_dict(_state(self._folder))
            return _Loaded(device, pick_dtype(self._config, device), predictor.eval().to(device))


def _state(source: Path) -> dict[str, Any]:
    """Weights of a checkpoint, whose file may also hold them under "model"."""
    import torch

    file = source / _FILE if source.is_dir() else source
    state = torch.load(file, map_location="cpu", weights_only=True)
    return state.get("model", state)
