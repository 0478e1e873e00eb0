"""What every learned backend can be told: which weights, where it runs, in which precision."""

from typing import Any, Literal

from pydantic import Field

from curation.contract.config import Config

Precision = Literal["auto", "float32", "bfloat16", "float16"]


def gpu_share(default: float) -> Any:
    """The field `gpus` of a backend's config."""
    return Field(
        default=default,
        ge=0,
        description="share of a GPU that it takes; a worker asks Ray for the sum over its backends",
    )


def hub_weights(default: str) -> Any:
    """The field `weights` of a backend's config."""
    return Field(
        default=default, min_length=1, description="Hugging Face hub repository (owner/name), a local folder or file"
    )


def pinned(default: str | None) -> Any:
    """The field `revision` of a backend's config; it belongs to the default of `weights`."""
    return Field(
        default=default,
        pattern=r"^[0-9a-f]{40}$",
        description="commit of the hub repository; null takes what was fetched, which is not repeatable",
    )


class DeviceConfig(Config):
    """Where a network runs, and what it asks of Ray."""

    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="auto: CUDA, else Apple's MPS, else the CPU",
    )
    dtype: Precision = Field(
        default="auto", description="auto: half precision on CUDA (bfloat16 where the card has it), float32 elsewhere"
    )
    gpus: float = gpu_share(0.25)


class ModelConfig(DeviceConfig):
    """A backend with weights. The defaults of `weights` and `revision` belong together: change both."""

    weights: str = hub_weights("owner/name")
    revision: str | None = pinned(None)
