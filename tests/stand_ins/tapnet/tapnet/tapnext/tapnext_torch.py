"""TAPNext: points drift one pixel to the right a frame, and are visible in the video's upper half. It knows no past."""

import torch


class TAPNext(torch.nn.Module):
    def __init__(self, image_size):
        super().__init__()
        self.size = image_size
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, video, query_points=None, state=None):
        """video (1, 1, H, W, 3) in -1..1; query_points (1, N, 3) = (t, y, x) raster px, with the first frame only.

        Returns tracks (1, 1, N, 2) = (y, x), logits, visible logits (1, 1, N, 1) and the state.
        """
        assert video.shape[1:] == (1, *self.size, 3)
        assert video.min() >= -1
        assert video.max() <= 1
        assert (query_points is None) is (state is not None)
        step, queries = state if state is not None else (0, query_points)
        tracks = queries[:, None, :, 1:].clone()
        tracks[..., 1] += step - queries[:, None, :, 0]
        known = step >= queries[:, None, :, 0]
        tracks = torch.where(known[..., None], tracks, torch.full_like(tracks, 1e4))
        visible = torch.where(known & (tracks[..., 0] < self.size[0] / 2), 5.0, -5.0)[..., None]
        return tracks, None, visible, (step + 1, queries)
