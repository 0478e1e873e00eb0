"""Devices, precision and memory of networks, the same for every backend."""

import gc
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from curation.contract.errors import BackendUnavailableError, ModelError, UsageError
from curation.models.model_config import DeviceConfig
from curation.models.usage import LOADS, count

if TYPE_CHECKING:
    import torch

_FULL = ("out of memory", "can't allocate memory", "cannot allocate memory")


def pick_device(config: DeviceConfig) -> "torch.device":
    """The device that the config names, or the best that is here.

    Raises:
        UsageError: it names a device that this machine does not have.
    """
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    name = config.device if config.device != "auto" else "cuda" if cuda else "mps" if mps else "cpu"
    if (name.startswith("cuda") and not cuda) or (name == "mps" and not mps):
        raise UsageError(f"device={config.device}: PyTorch sees no such device here; set device to auto or cpu")
    return torch.device(name)


def pick_dtype(config: DeviceConfig, device: "torch.device") -> "torch.dtype":
    """The precision that the config names; auto is half precision on CUDA only, where it is what models run in."""
    import torch

    if config.dtype != "auto":
        return getattr(torch, config.dtype)
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def autocast(device: "torch.device", dtype: "torch.dtype") -> AbstractContextManager[object]:
    """Mixed precision for models whose weights stay in float32; nothing at all for float32."""
    import torch

    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def release(device: "torch.device") -> None:
    """Give cached memory back between clips, so that backends that share a GPU do not crowd each other out."""
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


@contextmanager
def loading(backend: str, source: object) -> Iterator[None]:
    """Around a model's construction: counted, and what goes wrong named with where the weights came from.

    Raises:
        BackendUnavailableError: the weights are not those of this backend, or are broken.
        ModelError: there is not enough memory.
    """
    count(LOADS + backend)
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # transformers draws bars into workers' logs else
    try:
        yield
    except BackendUnavailableError:
        raise
    except Exception as error:  # whatever a library says of a folder that it cannot read
        if _is_full(error):
            raise ModelError(f"{backend}: out of memory while loading {source}; give it a larger GPU") from error
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise BackendUnavailableError(backend, "weights that load", f"{source}: {reason}") from error


@contextmanager
def working(backend: str, device: "torch.device", remedy: str) -> Iterator[None]:
    """Around a model's work on one clip, without gradients; memory is given back afterwards.

    Args:
        remedy: what to set when there is not enough memory.

    Raises:
        ModelError: out of memory.
    """
    import torch

    try:
        with torch.inference_mode():
            yield
    except (RuntimeError, MemoryError) as error:
        if not _is_full(error):
            raise
        where = str(device)
    else:
        release(device)
        return
    # Outside of the handler: there the traceback would still hold the tensors that filled the memory.
    gc.collect()
    release(device)
    raise ModelError(f"{backend}: out of memory on {where}; {remedy}")


def _is_full(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _FULL)
