"""Camera poses by SpatialTrackerV2's front end, VGGT tuned on videos (Xiao et al. 2025): the recipe's, step 5.

Its licence is unsettled; it is treated as non-commercial.
"""

from functools import cached_property
from typing import Any

import numpy as np
from pydantic import Field

from curation.models.camera.poses import PoseCamera, PoseConfig, Poses
from curation.models.checkout import import_code, require_code
from curation.models.device import autocast, loading, pick_device, pick_dtype, working
from curation.models.model_config import gpu_share, hub_weights, pinned
from curation.models.weights import find_weights, provenance

REPOSITORY = "https://github.com/henry123-boy/SpaTrackerV2"
_MODULE = "models.SpaTrackV2.models.vggt4track.models.vggt_moe"


class SpatialTrackerConfig(PoseConfig):
    weights: str = hub_weights("Yuxihenry/SpatialTrackerV2_Front")
    # Not pinned: its commit could not be looked up where this was written. `doctor` says so.
    revision: str | None = pinned(None)
    gpus: float = gpu_share(0.25)
    code: str | None = Field(default=None, description="folder of a checkout of henry123-boy/SpaTrackerV2")


class SpatialTrackerCamera(PoseCamera):
    def __init__(self, config: SpatialTrackerConfig) -> None:
        super().__init__(config)
        self._settings = config
        require_code("spatialtracker", _MODULE, config.code, REPOSITORY)
        self._folder = find_weights("spatialtracker", config)
        self.name = provenance("spatialtracker", config, self._folder)

    def poses(self, pictures: np.ndarray) -> Poses:
        """See PoseCamera. It gives camera-to-world matrices."""
        import torch

        device, model = self._loaded
        with working("spatialtracker", device, "set camera.spatialtracker.most_pictures lower"):
            images = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(device).float() / 255
            with autocast(device, pick_dtype(self._settings, device)):
                found = model(images[None])
            poses = found["poses_pred"][0].double().cpu().numpy()
            k = found["intrs"].reshape(len(pictures), 3, 3).double().cpu().numpy()
        return Poses(poses[:, :3], np.sqrt(k[:, 0, 0] * k[:, 1, 1]))

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        with loading("spatialtracker", self._folder):
            device = pick_device(self._settings)
            model = import_code(_MODULE, self._settings.code).VGGT4Track.from_pretrained(str(self._folder))
            return device, model.eval().to(device)
