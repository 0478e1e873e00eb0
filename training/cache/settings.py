"""What decides cached values beside the samples: written with a cache, compared before one is used."""

import json
from pathlib import Path
from typing import Any

import yaml

from curation.contract.errors import UsageError
from curation.contract.ids import digest
from curation.contract.manifest import RunFolder
from training.config import TrainingConfig

CACHE_VERSION = 1
_FILE = "cache.yaml"


def cache_settings(config: TrainingConfig) -> dict[str, Any]:
    """By the names of the config. Trajectories, boxes and first frames are not cached, nor what decides them."""
    model, data = config.model, config.data
    return {
        "cache_version": CACHE_VERSION,
        "model.family": model.family,
        "model.base": model.base,
        "model.revision": model.revision,
        "model.frozen_weights": model.frozen_weights,
        "model.vae_tiling": model.vae_tiling,
        "model.text_length": model.text_length,
        "loop.precision": config.loop.precision,
        "data.sizes": [list(size) for size in data.sizes],
        "data.frames": list(data.frames),
        "data.stride": data.stride,
        "data.target_fps": data.target_fps,
        "data.legacy_stretch": data.legacy_stretch,
    }


def settings_fingerprint(settings: dict[str, Any]) -> str:
    return digest(json.dumps(settings, sort_keys=True))


def claim_cache(cache: RunFolder, settings: dict[str, Any]) -> None:
    """Make a folder a cache with these settings, if it is not one already.

    Raises:
        UsageError: it is one with other settings, or holds other things.
    """
    if cache.exists(_FILE):
        _compare(cache, settings, "name another --output, or set them alike")
        return
    if "://" not in cache.uri and Path(cache.uri).exists():
        if not Path(cache.uri).is_dir():
            raise UsageError(f"{cache.uri}: is a file; --output names a folder")
        if any(Path(cache.uri).iterdir()):
            raise UsageError(f"{cache.uri}: not empty and not a cache; nothing is ever deleted, name another --output")
    content = {"fingerprint": settings_fingerprint(settings), "settings": settings}
    cache.write_bytes(_FILE, yaml.safe_dump(content, sort_keys=False).encode())


def check_cache(cache: RunFolder, settings: dict[str, Any]) -> None:
    """
    Raises:
        UsageError: the folder is no cache, or a stale one: made with other settings, which are named.
    """
    if not cache.exists(_FILE):
        raise UsageError(
            f"{cache.uri}: not a cache (no {_FILE}); make it with `python -m training precompute --output {cache.uri}`"
        )
    _compare(cache, settings, "precompute into another folder, or train without data.cache")


def _compare(cache: RunFolder, settings: dict[str, Any], remedy: str) -> None:
    there = yaml.safe_load(cache.read_bytes(_FILE))
    if there["fingerprint"] == settings_fingerprint(settings):
        return
    known = there["settings"]
    differences = [
        f"{name} is {known.get(name)} there and {settings.get(name)} here"
        for name in sorted(known.keys() | settings.keys())
        if known.get(name) != settings.get(name)
    ]
    raise UsageError(f"{cache.uri}: this cache was made with other settings: {'; '.join(differences)}; {remedy}")
