"""VGGT4Track: the camera turns by 2 degrees about the vertical axis and moves by 0.1 to the right each picture."""

import math

import torch


class VGGT4Track(torch.nn.Module):
    @classmethod
    def from_pretrained(cls, folder):
        return cls()

    def forward(self, images):
        """images (1, T, 3, H, W) in 0..1; poses_pred (1, T, 4, 4) camera to world, intrs (1, T, 3, 3) px."""
        _, count, channels, height, width = images.shape
        assert (channels, height % 14, width % 14) == (3, 0, 0)
        assert images.max() <= 1
        poses = torch.eye(4).repeat(1, count, 1, 1)
        for index in range(count):
            cos, sin = math.cos(math.radians(2 * index)), math.sin(math.radians(2 * index))
            poses[0, index, :3] = torch.tensor([[cos, 0, sin, 0.1 * index], [0, 1, 0, 0], [-sin, 0, cos, 0]])
        return {"poses_pred": poses, "intrs": torch.eye(3).repeat(1, count, 1, 1) * 500}
