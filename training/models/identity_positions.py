"""CogVideoX positions when an ID reference is the last frame: it gets the first frame's, learned and rotary."""

from typing import Any, cast

import torch
from diffusers.models.embeddings import CogVideoXPatchEmbed, get_3d_rotary_pos_embed
from diffusers.pipelines.cogvideo.pipeline_cogvideox_image2video import get_resize_crop_region_for_grid
from torch.nn import functional


class IdentityPatchEmbed(CogVideoXPatchEmbed):
    """The stock patch embedding with two differences: the last `identity_frames` frames have frame 0's position, and
    the learned table is resized where the canvas is not the one it was learned on (stock refuses).

    Parameters, buffers and their names are those of the stock class.
    """

    identity_frames: int = 0

    def forward(self, text_embeds: torch.Tensor, image_embeds: torch.Tensor) -> torch.Tensor:
        """[B, L + tokens, D] of text [B, L, D_text] and latents [B, f + identity_frames, C, h, w]."""
        text = self.text_proj(text_embeds)
        batch, frames, _, height, width = image_embeds.shape
        patches: torch.Tensor = self.proj(image_embeds.flatten(0, 1)).flatten(2).transpose(1, 2)
        video = patches.reshape(batch, -1, patches.shape[-1])
        if self.use_positional_embeddings or self.use_learned_positional_embeddings:
            grid = (height // self.patch_size, width // self.patch_size)
            video = video + self._positions(frames - self.identity_frames, grid).to(video.dtype)
        return torch.cat([text, video], dim=1).contiguous()

    def _positions(self, frames: int, grid: tuple[int, int]) -> torch.Tensor:
        """[1, tokens, D] of `frames` video frames and the ID's."""
        rows, columns = self.sample_height // self.patch_size, self.sample_width // self.patch_size
        learned = (self.sample_frames - 1) // self.temporal_compression_ratio + 1
        embedding = cast(torch.Tensor, self.pos_embedding)
        table = embedding[:, self.max_text_seq_length :].unflatten(1, (learned, rows, columns))
        # A shorter clip has the first frames' positions; a longer one than was learned stretches them.
        if (rows, columns) != grid or frames > learned:
            table = functional.interpolate(
                table.permute(0, 4, 1, 2, 3), size=(max(frames, learned), *grid), mode="trilinear", align_corners=False
            ).permute(0, 2, 3, 4, 1)
        first = table[:, :1].expand(-1, self.identity_frames, -1, -1, -1)
        return torch.cat([table[:, :frames], first], dim=1).flatten(1, 3)


def place_identity_first(transformer: Any) -> None:
    """Make a stock CogVideoXTransformer3DModel add positions as `IdentityPatchEmbed` does, in place.

    Weights and their names stay. Set `transformer.patch_embed.identity_frames` before each call.

    Raises:
        ValueError: the transformer is a CogVideoX 1.5 (patches in time), which has no learned table.
    """
    if transformer.config.patch_size_t is not None:
        raise ValueError("CogVideoX 1.5 transformers are not supported, only 1.0 (CogVideoX-5b-I2V)")
    transformer.patch_embed.__class__ = IdentityPatchEmbed


def rotary_embedding(
    transformer: Any, frames: int, height: int, width: int, identity_frames: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Rotary cosines and sines [tokens, head dim] of `frames` latent frames of height x width, then the ID's frames.

    None if the transformer has no rotary positions.
    """
    config = transformer.config
    if not config.use_rotary_positional_embeddings:
        return None
    grid = (height // config.patch_size, width // config.patch_size)
    base = (config.sample_height // config.patch_size, config.sample_width // config.patch_size)
    cosines, sines = get_3d_rotary_pos_embed(
        embed_dim=config.attention_head_dim,
        crops_coords=get_resize_crop_region_for_grid(grid, base[1], base[0]),
        grid_size=grid,
        temporal_size=frames,
        device=device,
    )
    tokens = grid[0] * grid[1]
    return (
        torch.cat([cosines, *[cosines[:tokens]] * identity_frames]),
        torch.cat([sines, *[sines[:tokens]] * identity_frames]),
    )
