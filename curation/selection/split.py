"""Which part of the data a video belongs to."""

import hashlib
from typing import Self

from pydantic import Field, model_validator

from curation.contract.config import Config


class SplitConfig(Config):
    """Shares of the videos, which are divided by their sum."""

    train: float = Field(default=0.9, ge=0)
    val: float = Field(default=0.05, ge=0)
    bench: float = Field(default=0.05, ge=0)

    @model_validator(mode="after")
    def _some_share(self) -> Self:
        if self.train + self.val + self.bench == 0:
            raise ValueError("train, val and bench are all 0; give at least one a share")
        return self


def split_of(video_id: str, config: SplitConfig, seed: int) -> str:
    """train / val / bench, from the video's id and the seed alone: files that are added later change nothing."""
    hashed = hashlib.sha256(f"split\0{seed}\0{video_id}".encode()).digest()
    position = int.from_bytes(hashed[:8], "big") / 2**64 * (config.train + config.val + config.bench)
    if position < config.train:
        return "train"
    return "val" if position < config.train + config.val else "bench"
