"""More input channels for a transformer, without a change of what it computes."""

from typing import TypeVar

import torch
from torch import nn

Projection = TypeVar("Projection", nn.Conv2d, nn.Conv3d)


def widen_input(projection: Projection, in_channels: int) -> Projection:
    """A copy of a patch projection that takes further channels at the end; their weights are zero.

    So the output is that of the old one until the new weights are trained, whatever the new channels hold.

    Raises:
        ValueError: `in_channels` is fewer than it takes now.
    """
    extra = in_channels - projection.in_channels
    if extra < 0:
        raise ValueError(
            f"the projection takes {projection.in_channels} channels already, cannot be cut to {in_channels}"
        )
    wide = type(projection)(
        in_channels,
        projection.out_channels,
        kernel_size=projection.kernel_size,  # pyright: ignore[reportArgumentType]
        stride=projection.stride,  # pyright: ignore[reportArgumentType]
        bias=projection.bias is not None,
        device=projection.weight.device,
        dtype=projection.weight.dtype,
    )
    with torch.no_grad():
        wide.weight.zero_()
        wide.weight[:, : projection.in_channels] = projection.weight
        if wide.bias is not None and projection.bias is not None:
            wide.bias.copy_(projection.bias)
    return wide
