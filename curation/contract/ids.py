"""Identifiers that are stable across runs, machines and the order of files, and random seeds derived from them."""

import hashlib
import re
from pathlib import PurePosixPath

import numpy as np


def video_id(relative_path: str) -> str:
    """Readable and unique: the file's stem plus 8 hex digits of its path relative to the input root."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", PurePosixPath(relative_path).stem).strip("-")[:40] or "video"
    return f"{stem}-{hashlib.sha256(relative_path.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def digest(*parts: str) -> str:
    """First 12 hex digits of the SHA-256 of some strings."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def clip_id(video: str, start_frame: int, end_frame: int) -> str:
    return f"{video}_{start_frame:06d}-{end_frame:06d}"


def object_id(clip: str, query_frame: int, index: int) -> str:
    """`index` counts the objects of the clip that share a query frame."""
    return f"{clip}_o{query_frame:06d}-{index}"


def sample_id(clip: str, start_frame: int, suffix: str) -> str:
    return f"{clip}_s{start_frame:06d}-{suffix}"


def generator(seed: int, *names: str) -> np.random.Generator:
    """A random generator that depends on the run's seed and the item's names only, never on order."""
    digest = hashlib.sha256("\0".join([str(seed), *names]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))
