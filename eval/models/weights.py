"""How evaluation's networks are named, and what they run on."""

from pathlib import Path

import torch


def folder_name(folder: Path, source: str) -> str:
    """What scores say of the weights: repository and commit (the cache's folders are named by it), or the folder."""
    return source if Path(source).expanduser().is_dir() else f"{source}@{folder.name[:8]}"


def device() -> torch.device:
    """The accelerator if there is one."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
