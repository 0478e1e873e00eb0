"""Where weights are: a local folder, or the Hugging Face hub at a pinned revision; and the layouts they come in."""

from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from torch import nn

from curation.contract.errors import BackendUnavailableError, UsageError

TRANSFORMER = "transformer"


def fetch(
    source: str,
    revision: str | None = None,
    backend: str | None = None,
    setting: str = "model.base or model.transformer",
) -> Path:
    """The local folder of a model: `source` itself if it is one, else the hub repository's files, fetched if need be.

    Args:
        backend, setting: for the error: what needs the weights (None: they themselves), and the config key to change.

    Raises:
        BackendUnavailableError: it is neither here nor can it be fetched; says how to fetch it elsewhere.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder.resolve()
    try:
        return Path(snapshot_download(source, revision=revision, ignore_patterns=["*.bin", "*.gif", "*.mp4", "*.png"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
    except ValueError:
        reason = "it is neither a folder nor a name like owner/model"
    pinned = f" --revision {revision}" if revision else ""
    remedy = (
        f"where there is a network, run: hf download {source}{pinned} --local-dir DIR; then name DIR instead of the "
        f"repository in {setting} ({reason})"
    )
    raise BackendUnavailableError(backend or source, "weights that are not on this machine", remedy)


def transformer_folder(source: str, revision: str | None = None) -> Path:
    """The folder with a transformer's config.json: the root of a published repository, or `transformer/` in a base
    model or one of our checkpoints.

    Raises:
        BackendUnavailableError: see `fetch`.
        UsageError: there is no transformer.
    """
    folder = fetch(source, revision)
    for candidate in (folder / TRANSFORMER, folder):
        if (candidate / "config.json").is_file():
            return candidate
    raise UsageError(
        f"{source}: no transformer there; expected config.json in it or in {TRANSFORMER}/: a diffusers model, a "
        "published repository, or a checkpoint's folder"
    )


def cast_parameters(module: nn.Module, dtype: torch.dtype) -> None:
    """Cast all parameters, in place. Buffers stay: `module.to(dtype)` would round the rotary tables too, and
    `from_pretrained(torch_dtype=)` would leave the norms in float32, where sharding wants one type.
    """
    for parameter in module.parameters():
        parameter.data = parameter.data.to(dtype)
