"""CoTrackerPredictor: points drift one pixel to the right a frame, and are visible in the video's upper half."""

import torch


class CoTrackerPredictor(torch.nn.Module):
    def __init__(self, checkpoint=None, offline=True, v2=False, window_len=60):
        super().__init__()
        assert checkpoint is None
        assert offline
        self.model = torch.nn.Module()
        self.model.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, video, queries=None, backward_tracking=False):
        """video (1, T, 3, H, W) float 0..255; queries (1, N, 3) = (t, x, y) px; out (1, T, N, 2) px, (1, T, N) bool."""
        _, frames, channels, height, width = video.shape
        assert channels == 3
        assert video.dtype == torch.float32
        assert 1 < video.max() <= 255
        assert backward_tracking
        assert (queries[..., 1] < width).all()
        assert (queries[..., 2] < height).all()
        steps = torch.arange(frames)[None, :, None] - queries[:, None, :, 0]
        tracks = queries[:, None, :, 1:].repeat(1, frames, 1, 1)
        tracks[..., 0] += steps
        return tracks, tracks[..., 1] < height / 2
