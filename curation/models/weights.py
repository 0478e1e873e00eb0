"""Where a backend's weights lie on this machine. Nothing is downloaded here: a worker must not begin with gigabytes.

`python -m curation doctor --fetch PRESET` fetches them, into the Hugging Face cache or into a folder that HF_HUB_CACHE
then names; both have the hub's own layout, models--OWNER--NAME/snapshots/COMMIT/.
"""

import json
import os
from pathlib import Path

from curation.contract.errors import BackendUnavailableError
from curation.models.model_config import ModelConfig

_WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")


def is_hub_name(weights: str) -> bool:
    """Whether it reads as owner/name rather than as a path."""
    return weights.count("/") == 1 and not weights.startswith(("/", ".", "~")) and not Path(weights).exists()


def is_url(weights: str) -> bool:
    return weights.startswith(("https://", "http://"))


def url_file(url: str) -> Path:
    """Where weights that lie at an address, not on the hub, are kept: beside the hub's, by host and path."""
    return hub_cache() / "urls" / url.split("://", 1)[1]


def find_weights(backend: str, config: ModelConfig) -> Path:
    """The folder (or file) that holds a backend's weights.

    Raises:
        BackendUnavailableError: it is not here, not whole, or here at another revision; names the command that helps.
    """
    if is_url(config.weights):
        path = url_file(config.weights)
        if not path.is_file():
            raise BackendUnavailableError(backend, f"the weights {config.weights}", fetch_command(config))
        return path
    if not is_hub_name(config.weights):
        path = Path(config.weights).expanduser()
        if not path.exists():
            raise BackendUnavailableError(
                backend, f"weights at {path}", "no such file or folder; correct `weights` in the config"
            )
        return path.resolve()
    snapshots = hub_cache() / f"models--{config.weights.replace('/', '--')}" / "snapshots"
    here = sorted(path.name for path in snapshots.iterdir()) if snapshots.is_dir() else []
    revision = config.revision or _main_revision(snapshots) or (here[0] if len(here) == 1 else None)
    if revision is None or revision not in here:
        wanted = f"{config.weights} at revision {config.revision}" if config.revision else config.weights
        if here:
            remedy = f"here are only {', '.join(here)} (in {snapshots}); {fetch_command(config)}"
        else:
            remedy = f"not in {hub_cache()}; {fetch_command(config)}"
        raise BackendUnavailableError(backend, f"the weights {wanted}", remedy)
    folder = snapshots / revision
    if missing := missing_weights(folder):
        raise BackendUnavailableError(
            backend, f"all of {config.weights}", f"{missing} is missing in {folder}; {fetch_command(config)}"
        )
    return folder


def fetch_command(config: ModelConfig) -> str:
    """What a person types to get the weights of one backend."""
    if is_url(config.weights):
        path = url_file(config.weights)
        return f"run: curl --create-dirs --fail --location --output {path} {config.weights}"
    pinned = f" --revision {config.revision}" if config.revision else ""
    return f"run: hf download {config.weights}{pinned}"


def missing_weights(folder: Path) -> str | None:
    """The first file that a model's folder should have and has not: shards of an index, else any weights at all."""
    for index in sorted(folder.glob("*.index.json")):
        shards = sorted(set(json.loads(index.read_text()).get("weight_map", {}).values()))
        absent = [shard for shard in shards if not (folder / shard).is_file()]
        if absent:
            return absent[0]
    files = [path for path in folder.rglob("*") if path.suffix in _WEIGHT_SUFFIXES and path.is_file()]
    return None if files else "any file of weights"


def hub_cache() -> Path:
    """Where huggingface_hub keeps downloads, by its own environment variables."""
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")


def provenance(backend: str, config: ModelConfig, found: Path) -> str:
    """What manifests say of a value: backend, weights, revision and the hash of the backend's whole config.

    `oneformer shi-labs/oneformer_coco_swin_large@3a26301 config 1c5e0b7f92ad`. The revision is that of the weights that
    were found (`find_weights`), also where the config pins none. A folder of yours has none: `@local`; nor has a file
    at an address: `@unpinned`.
    """
    elsewhere = "unpinned" if is_url(config.weights) else "local"
    revision = found.name if is_hub_name(config.weights) else elsewhere  # snapshots/COMMIT
    return f"{backend} {config.weights}@{revision} config {config.fingerprint()}"


def _main_revision(snapshots: Path) -> str | None:
    reference = snapshots.parent / "refs" / "main"
    return reference.read_text().strip() if reference.is_file() else None
