"""What of a working directory is not uploaded to a cluster: jobs need code and configs, data lies in shared storage."""

import os
import re
from pathlib import Path

# Ray refuses uploads over 100 MiB. Nothing that a job runs is as large as this.
_BIG_BYTES = 5 << 20
_MEDIA = ("mp4", "mkv", "mov", "avi", "webm", "png", "jpg", "jpeg", "gif")
_ARRAYS = ("parquet", "npy", "npz", "safetensors", "pt", "pth", "ckpt", "bin", "onnx", "zip", "tar", "gz")
_FOLDERS = (".git", ".venv", "venv", "__pycache__", "node_modules")


def exclude_patterns(folder: Path) -> list[str]:
    """Patterns in the language of .gitignore, which Ray honours besides: folders, kinds of files, and each big file."""
    patterns = [f"{name}/" for name in _FOLDERS] + [f"*.{suffix}" for suffix in (*_MEDIA, *_ARRAYS)]
    return patterns + [f"/{_literal(path.relative_to(folder).as_posix())}" for path in _big_files(folder)]


def _big_files(folder: Path) -> list[Path]:
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - set(_FOLDERS))
        paths = [Path(parent, name) for name in sorted(names)]
        found += [path for path in paths if path.is_file() and path.stat().st_size > _BIG_BYTES]
    return found


def _literal(path: str) -> str:
    """A path as a pattern that matches it alone."""
    return re.sub(r"([\\*?\[\] !#])", r"\\\1", path)
