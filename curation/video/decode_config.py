"""Limits of decoding, apart from the decoder: a config is read where PyAV does not even load."""

from pydantic import Field

from curation.contract.config import Config


class DecodeConfig(Config):
    """Limits that keep one bad file from costing more than itself."""

    max_side: int = Field(default=16384, gt=0, description="px; a longer side is refused")
    max_pixels: int = Field(default=1 << 26, gt=0, description="px per frame; 64 Mi is twice 8K UHD")
    max_bytes: int = Field(default=50_000_000_000, gt=0, description="byte; larger files are refused")
    max_frames: int = Field(
        default=2_000_000, gt=0, description="frames; a file in which more decode (18 h at 30 fps) is refused"
    )
    deadline_s: float = Field(default=1800.0, gt=0, description="s of reading and decoding per file and pass")
