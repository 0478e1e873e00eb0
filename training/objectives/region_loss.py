"""Mean squared error over the canvas, with a weight for what lies outside the region box."""

import torch


def region_loss(
    prediction: torch.Tensor, target: torch.Tensor, region: torch.Tensor, outside_weight: float, counted: torch.Tensor
) -> torch.Tensor:
    """Weighted mean of the squared error, float32 [B].

    Args:
        prediction, target: [B, C, f, h, w].
        region: [B, 1, 1, h, w], share of each cell inside the region box.
        counted: bool [B, f], latent frames that are in the loss.
    """
    error = (prediction.float() - target.float()).square().mean(dim=1, keepdim=True)
    weight = (region + outside_weight * (1 - region)) * counted[:, None, :, None, None]
    return (error * weight).flatten(1).sum(1) / weight.expand_as(error).flatten(1).sum(1)


def region_share(boxes: torch.Tensor, height: int, width: int, scale: int) -> torch.Tensor:
    """Share of each latent cell that lies in a box, float32 [B, 1, 1, height, width].

    Args:
        boxes: [B, 4] (x0, y0, x1, y1), half open, px of the canvas.
        scale: px per latent cell.
    """
    across = _covered(boxes[:, 0], boxes[:, 2], width, scale)
    down = _covered(boxes[:, 1], boxes[:, 3], height, scale)
    return (down[:, :, None] * across[:, None, :])[:, None, None]


def _covered(start: torch.Tensor, end: torch.Tensor, cells: int, scale: int) -> torch.Tensor:
    """[B, cells]: share of each cell between start and end [B], px."""
    edges = torch.arange(cells, device=start.device, dtype=torch.float32)[None] * scale
    overlap = torch.minimum(end[:, None], edges + scale) - torch.maximum(start[:, None], edges)
    return (overlap / scale).clamp(0, 1)
