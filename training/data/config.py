"""Which samples are drawn, and how a sample becomes pixels. Numbers without another source are the recipe's."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from curation.contract.config import Config
from curation.video.open import DecodeConfig


class ManifestConfig(Config):
    run: str = Field(description="run folder of `python -m curation run`: a local path or an URI (s3://, gs://)")
    weight: float = Field(
        default=1.0, gt=0, description="how often an epoch shows each of its samples; .5: half of them, 2: all twice"
    )


class DataConfig(Config):
    """Samples are drawn by (seed, epoch, index); nothing else decides what they hold."""

    manifests: tuple[ManifestConfig, ...] = Field(min_length=1, description="runs to mix")
    split: Literal["train", "val", "bench"] = "train"
    stage: Literal["motion", "inout"] = Field(
        default="inout", description="motion: trajectories on the whole canvas; inout: with a region box and an ID"
    )
    kinds: tuple[Literal["frame_in", "frame_out", "both"], ...] = Field(
        default=("frame_in", "frame_out", "both"), min_length=1, description="samples to use in stage inout"
    )
    strict: bool = Field(default=False, description="stage inout: only samples whose event is seen to happen")

    sizes: tuple[tuple[int, int], ...] = Field(
        default=((704, 1280),),
        min_length=1,
        description="canvas sizes (height, width), px; a sample goes to the one nearest in aspect ratio",
    )
    frames: tuple[int, ...] = Field(
        default=(49, 65, 81),
        min_length=1,
        description="clip lengths after the stride, 4N+1 each; a sample takes the longest that it fills",
    )
    stride: int | None = Field(default=None, ge=1, description="source frames per frame; null: by target_fps")
    target_fps: float = Field(default=12.0, gt=0, description="frames/s that the stride comes nearest to")

    dot_radius: int = Field(default=7, ge=1, description="px at 384 px height; Wan 7, CogVideoX 6")
    keep_motion_points: float = Field(default=0.4, ge=0, le=1, description="stage motion: share of points drawn")
    keep_identity_points: float = Field(default=0.33, ge=0, le=1, description="stage inout: of the ID's points")
    keep_other_points: float = Field(
        default=0.33, ge=0, le=1, description="stage inout: of other objects' points that start in the region box"
    )
    drop_identity: float = Field(
        default=0.15, ge=0, le=1, description="share of samples whose ID and its points are left out (Frame Out)"
    )
    legacy_stretch: bool = Field(default=False, description="stretch the ID as the published weights were trained")

    cache: str | None = Field(
        default=None, description="folder of `python -m training precompute`; null: encode all in training"
    )
    seed: int = Field(default=0, ge=0)
    decode: DecodeConfig = Field(
        default=DecodeConfig(deadline_s=120), description="limits for one sample; what exceeds them is replaced"
    )

    @field_validator("sizes")
    @classmethod
    def _even_sizes(cls, sizes: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        for size in sizes:
            if min(size) < 16 or size[0] % 16 or size[1] % 16:
                raise ValueError(f"canvas sides are multiples of 16 px (Wan: of 32), got {list(size)}")
        return sizes

    @field_validator("frames")
    @classmethod
    def _whole_latent_frames(cls, frames: tuple[int, ...]) -> tuple[int, ...]:
        for count in frames:
            if count < 1 or count % 4 != 1:
                raise ValueError(
                    f"the video VAEs take 4N+1 frames; {count} is not, {max(1, count - (count - 1) % 4)} is"
                )
        return tuple(sorted(set(frames)))

    @model_validator(mode="after")
    def _each_run_once(self) -> Self:
        runs = [manifest.run for manifest in self.manifests]
        if len(set(runs)) < len(runs):
            raise ValueError("a run is named twice in manifests; raise its weight instead")
        return self
