"""Point tracks by TAPNext++, frame after frame; code and weights are Apache-2.0 (Zholus et al. 2025)."""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from curation.contract.mask_tube import Masks
from curation.models.checkout import import_code, require_code
from curation.models.device import autocast, loading, pick_device, pick_dtype, working
from curation.models.model_config import ModelConfig, gpu_share, hub_weights
from curation.models.tracking.learned import finished, resized, to_pixels
from curation.models.tracking.tapir import REPOSITORY
from curation.models.weights import find_weights, provenance
from curation.video.media import ClipFrames

_SIDE = 256  # px; the pictures that the weights know


class TapNextConfig(ModelConfig):
    weights: str = hub_weights("https://storage.googleapis.com/dm-tapnet/tapnextpp/tapnextpp_ckpt.pt")
    gpus: float = gpu_share(0.15)
    code: str | None = Field(
        default=None, description="folder of a checkout of google-deepmind/tapnet; null: it is installed"
    )


class _Loaded(NamedTuple):
    device: Any
    dtype: Any
    model: Any


class TapNext:
    """PointTracker. The network knows only the past, so that it goes through the clip once each way."""

    def __init__(self, config: TapNextConfig) -> None:
        self._config = config
        require_code("tapnext", "tapnet.tapnext.tapnext_torch", config.code, REPOSITORY)
        self._file = find_weights("tapnext", config)
        self.name = provenance("tapnext", config, self._file)

    def track(
        self, clip: ClipFrames, queries: np.ndarray, masks: list[Masks | None] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See PointTracker. Needs no masks."""
        queries = np.asarray(queries, np.float32).reshape(-1, 3)
        if not len(queries):
            return np.zeros((clip.length, 0, 2), np.float32), np.zeros((clip.length, 0), bool)
        asked = to_pixels(clip, queries, _SIDE, _SIDE)
        frames = resized(clip, _SIDE, _SIDE)
        model = self._loaded
        remedy = "give the worker a larger share of a GPU (engine.worker_gpus)"
        with working("tapnext", model.device, remedy), autocast(model.device, model.dtype):
            points, visible = self._follow(frames, asked)
            turned = asked * np.array([-1, 1, 1], np.float32) + np.array([clip.length - 1, 0, 0], np.float32)
            before_points, before_visible = self._follow(frames[::-1], turned)
        earlier = np.arange(clip.length)[:, None] < queries[None, :, 0]
        points = np.where(earlier[..., None], before_points[::-1], points)
        visible = np.where(earlier, before_visible[::-1], visible)
        return finished(clip, queries, points, visible, _SIDE, _SIDE)

    def _follow(self, frames: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points [T, N, 2] (x, y) and visibility [T, N], right from each query's frame on."""
        import torch

        model = self._loaded
        # Its pixels begin at their corner, ours at their centre. Queries are (t, y, x), and so are its tracks (y, x).
        asked = torch.from_numpy(queries[:, [0, 2, 1]] + np.array([0, 0.5, 0.5], np.float32))[None].to(model.device)
        points, visible, state = [], [], None
        for frame in frames:
            picture = torch.from_numpy(frame.copy()).to(model.device).float()[None, None] / 255 * 2 - 1
            start = {} if state is not None else {"query_points": asked}
            tracks, _, seen, state = model.model(video=picture, state=state, **start)
            points.append(tracks[0, 0].float().cpu().numpy()[:, ::-1] - 0.5)
            visible.append(seen[0, 0, :, 0].cpu().numpy() > 0)
        return np.stack(points), np.stack(visible)

    @cached_property
    def _loaded(self) -> _Loaded:
        with loading("tapnext", self._file):
            import torch

            device = pick_device(self._config)
            module = import_code("tapnet.tapnext.tapnext_torch", self._config.code)
            model = module.TAPNext(image_size=(_SIDE, _SIDE))
            state = torch.load(self._file, map_location="cpu", weights_only=True)
            state = {name.removeprefix("tapnext."): value for name, value in state.get("state_dict", state).items()}
            model.load_state_dict(state)
            return _Loaded(device, pick_dtype(self._config, device), model.eval().to(device))
