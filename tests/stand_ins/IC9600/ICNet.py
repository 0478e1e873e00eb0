"""ICNet: complexity is the deviation of the picture."""

import torch


class ICNet(torch.nn.Module):
    def __init__(self, is_pretrain=True):
        super().__init__()
        assert not is_pretrain  # that would fetch ImageNet weights
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, picture):
        """picture (1, 3, 512, 512), normalised as for ImageNet; score in 0..1 and a map."""
        assert picture.shape == (1, 3, 512, 512)
        return picture.std().clamp(0, 1), picture[:, :1]
