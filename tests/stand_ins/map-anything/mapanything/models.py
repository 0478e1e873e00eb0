"""MapAnything: the camera turns by 2 degrees about the vertical axis and moves by 0.1 to the right each picture."""

import math

import torch


class MapAnything(torch.nn.Module):
    @classmethod
    def from_pretrained(cls, folder):
        return cls()

    def infer(self, views, memory_efficient_inference, use_amp, amp_dtype):
        """A dict a view: camera_poses (1, 4, 4) camera to world, intrinsics (1, 3, 3) px."""
        assert amp_dtype in ("bf16", "fp16")
        found = []
        for index, view in enumerate(views):
            assert view["img"].shape[:2] == (1, 3)
            cos, sin = math.cos(math.radians(2 * index)), math.sin(math.radians(2 * index))
            pose = torch.tensor([[[cos, 0, sin, 0.1 * index], [0, 1, 0, 0], [-sin, 0, cos, 0], [0, 0, 0, 1.0]]])
            found.append({"camera_poses": pose, "intrinsics": torch.diag(torch.tensor([500.0, 500.0, 1.0]))[None]})
        return found
