"""How evaluation's networks are named, and what they run on."""

from pathlib import Path

import torch


def folder_name(folder: Path, source: str) -> str:
    """What scores say of the weights: repository and commit (the cache's folders are named by it), or the folder."""
    return source if Path(source).expanduser().is_dir() else f"{source}@{folder.name[:8]}"


def download(url: str, setting: str | None = None) -> str:
    """What to type for weights that torch.hub would fetch, on a machine that has a network.

    Args:
        setting: config key that takes the file from any place, if there is one.
    """
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    elsewhere = f", or name the file in {setting}" if setting else ""
    return f"run: curl --create-dirs --fail --location --output {file} {url}{elsewhere}"


def device() -> torch.device:
    """The accelerator if there is one."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
