"""Point tracks by TAPIR, with BootsTAPIR's weights; code and weights are Apache-2.0 (Doersch et al. 2023, 2024)."""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from curation.contract.mask_tube import Masks
from curation.models.checkout import import_code, require_code
from curation.models.device import autocast, loading, pick_device, pick_dtype, working
from curation.models.model_config import ModelConfig, gpu_share, hub_weights
from curation.models.tracking.learned import finished, resized, to_pixels
from curation.models.weights import find_weights, provenance
from curation.video.media import ClipFrames

REPOSITORY = "https://github.com/google-deepmind/tapnet"


class TapirConfig(ModelConfig):
    weights: str = hub_weights("https://storage.googleapis.com/dm-tapnet/bootstap/bootstapir_checkpoint_v2.pt")
    gpus: float = gpu_share(0.15)
    code: str | None = Field(
        default=None, description="folder of a checkout of google-deepmind/tapnet; null: it is installed"
    )
    resolution: int = Field(
        default=512,
        ge=64,
        multiple_of=8,
        description="side of the square pictures it sees, px (512: its authors' best)",
    )
    batch_points: int = Field(default=64, ge=1, description="points whose cost volumes are in memory together")


class _Loaded(NamedTuple):
    device: Any
    dtype: Any
    model: Any


class Tapir:
    """PointTracker. Every point is tracked by itself, both ways at once."""

    def __init__(self, config: TapirConfig) -> None:
        self._config = config
        require_code("tapir", "tapnet.torch.tapir_model", config.code, REPOSITORY)
        self._file = find_weights("tapir", config)
        self.name = provenance("tapir", config, self._file)

    def track(
        self, clip: ClipFrames, queries: np.ndarray, masks: list[Masks | None] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See PointTracker. Needs no masks."""
        queries = np.asarray(queries, np.float32).reshape(-1, 3)
        side = self._config.resolution
        if not len(queries):
            return np.zeros((clip.length, 0, 2), np.float32), np.zeros((clip.length, 0), bool)
        import torch

        model = self._loaded
        remedy = "set tracking.tapir.batch_points or resolution lower, or clips.longest"
        with working("tapir", model.device, remedy), autocast(model.device, model.dtype):
            video = torch.from_numpy(resized(clip, side, side))[None].to(model.device).float() / 255 * 2 - 1
            # Its pixels begin at their corner, ours at their centre; its queries are (t, y, x).
            asked = to_pixels(clip, queries, side, side)[:, [0, 2, 1]] + np.array([0, 0.5, 0.5], np.float32)
            found = model.model(
                video, torch.from_numpy(asked)[None].to(model.device), query_chunk_size=self._config.batch_points
            )
            seen = (1 - found["occlusion"][0].sigmoid()) * (1 - found["expected_dist"][0].sigmoid()) > 0.5
            points = found["tracks"][0].float().cpu().numpy().transpose(1, 0, 2) - 0.5
            visible = seen.cpu().numpy().T
        return finished(clip, queries, points, visible, side, side)

    @cached_property
    def _loaded(self) -> _Loaded:
        with loading("tapir", self._file):
            import torch

            device = pick_device(self._config)
            module = import_code("tapnet.torch.tapir_model", self._config.code)
            model = module.TAPIR(pyramid_level=1)
            model.load_state_dict(torch.load(self._file, map_location="cpu", weights_only=True))
            return _Loaded(device, pick_dtype(self._config, device), model.eval().to(device))
