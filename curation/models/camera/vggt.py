"""Camera poses by VGGT (Wang et al. 2025). Two sets of weights: facebook/VGGT-1B (CC-BY-NC-4.0) and, behind a form,
facebook/VGGT-1B-Commercial.
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

REPOSITORY = "https://github.com/facebookresearch/vggt"


class VggtConfig(PoseConfig):
    weights: str = hub_weights("facebook/VGGT-1B")
    revision: str | None = pinned("860abec7937da0a4c03c41d3c269c366e82abdf9")
    gpus: float = gpu_share(0.25)
    code: str | None = Field(
        default=None, description="folder of a checkout of facebookresearch/vggt; null: it is installed"
    )


class VggtCamera(PoseCamera):
    def __init__(self, config: VggtConfig) -> None:
        super().__init__(config)
        self._settings = config
        require_code("vggt", "vggt.models.vggt", config.code, REPOSITORY)
        self._folder = find_weights("vggt", config)
        self.name = provenance("vggt", config, self._folder)

    def poses(self, pictures: np.ndarray) -> Poses:
        """See PoseCamera. It gives world-to-camera matrices."""
        import torch

        device, model, decode = self._loaded
        remedy = "set camera.vggt.most_pictures lower"
        with working("vggt", device, remedy):
            images = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(device).float() / 255
            with autocast(device, pick_dtype(self._settings, device)):
                encoded = model(images[None])["pose_enc"].float()
            extrinsics, intrinsics = decode(encoded, images.shape[-2:])
            to_camera, k = extrinsics[0].double().cpu().numpy(), intrinsics[0].double().cpu().numpy()
        turned = to_camera[:, :, :3].transpose(0, 2, 1)
        places = -turned @ to_camera[:, :, 3:]
        return Poses(np.concatenate([turned, places], axis=2), np.sqrt(k[:, 0, 0] * k[:, 1, 1]))

    @cached_property
    def _loaded(self) -> tuple[Any, Any, Any]:
        with loading("vggt", self._folder):
            code = self._settings.code
            device = pick_device(self._settings)
            model = import_code("vggt.models.vggt", code).VGGT.from_pretrained(str(self._folder))
            decode = import_code("vggt.utils.pose_enc", code).pose_encoding_to_extri_intri
            return device, model.eval().to(device), decode
