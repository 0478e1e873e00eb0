"""Camera poses by MapAnything (Keetha et al. 2025), code and these weights Apache-2.0, in metres."""

from functools import cached_property
from typing import Any

import numpy as np
from pydantic import Field

from curation.models.camera.poses import PoseCamera, PoseConfig, Poses
from curation.models.checkout import import_code, require_code
from curation.models.device import loading, pick_device, pick_dtype, working
from curation.models.model_config import gpu_share, hub_weights, pinned
from curation.models.weights import find_weights, provenance

REPOSITORY = "https://github.com/facebookresearch/map-anything"


class MapAnythingConfig(PoseConfig):
    weights: str = hub_weights("facebook/map-anything-apache")
    revision: str | None = pinned("00f9c245bbcb60522d1ed7f9e9d88462c6e3f38a")
    gpus: float = gpu_share(0.25)
    code: str | None = Field(
        default=None, description="folder of a checkout of facebookresearch/map-anything; null: it is installed"
    )


class MapAnythingCamera(PoseCamera):
    def __init__(self, config: MapAnythingConfig) -> None:
        super().__init__(config)
        self._settings = config
        require_code("mapanything", "mapanything.models", config.code, REPOSITORY)
        self._folder = find_weights("mapanything", config)
        self.name = provenance("mapanything", config, self._folder)

    def poses(self, pictures: np.ndarray) -> Poses:
        """See PoseCamera. It gives camera-to-world matrices."""
        import torch

        device, model, prepare = self._loaded
        half = pick_dtype(self._settings, device)
        with working("mapanything", device, "set camera.mapanything.most_pictures lower"):
            views = prepare([{"img": torch.from_numpy(picture)} for picture in pictures])
            found = model.infer(
                views,
                memory_efficient_inference=True,
                use_amp=half != torch.float32,
                amp_dtype="fp16" if half == torch.float16 else "bf16",
            )
            poses = np.concatenate([view["camera_poses"].double().cpu().numpy() for view in found])
            k = np.concatenate([view["intrinsics"].double().cpu().numpy() for view in found])
        return Poses(poses[:, :3], np.sqrt(k[:, 0, 0] * k[:, 1, 1]))

    @cached_property
    def _loaded(self) -> tuple[Any, Any, Any]:
        with loading("mapanything", self._folder):
            code = self._settings.code
            device = pick_device(self._settings)
            model = import_code("mapanything.models", code).MapAnything.from_pretrained(str(self._folder))
            prepare = import_code("mapanything.utils.image", code).preprocess_inputs
            return device, model.eval().to(device), prepare
