"""`python -m curation doctor --fetch PRESET`: all weights of a preset, for clusters that have no network."""

import os
import shutil
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from curation.backend_check import check
from curation.backends import Choice, licence
from curation.contract.errors import CurationError
from curation.models.model_config import ModelConfig
from curation.models.weights import hub_cache, is_hub_name, is_url, url_file

_WANTED = ("*.json", "*.safetensors", "*.txt", "*.jinja", "*.model", "*.py")
_BY_NAME = {"facebook/cotracker3": ("scaled_offline.pth",)}
"""Repositories whose weights are not safetensors."""
_CHUNK = 1 << 20


def fetch(choices: Sequence[Choice], folder: Path | None = None, console: Console | None = None) -> int:
    """Download what the backends of a config lack. A download that fails keeps none of the others from being made.

    Args:
        folder: where to; None for HF_HUB_CACHE, or where the hub's library keeps its files.

    Returns:
        0; 1 when something could not be fetched or has to be got by hand, which is said line by line.
    """
    console = console or Console(file=sys.stderr)
    if folder:
        os.environ["HF_HUB_CACHE"] = str(folder.expanduser().resolve())
    failed, by_hand = [], []
    for choice in choices:
        found = check(choice)
        if not found.problem:
            continue
        settings = choice.config
        weights = settings.weights if isinstance(settings, ModelConfig) else ""
        terms = licence(choice)
        try:
            if found.weights == "not here" and is_hub_name(weights):
                assert isinstance(settings, ModelConfig)
                limit = "" if terms.commercial else ", NOT for commercial use"
                console.print(f"{weights}: licence {terms.name}{limit}")
                _fetch_repository(settings, console)
            elif found.weights == "not here" and is_url(weights):
                console.print(f"{weights}: licence {terms.name}")
                _fetch_file(weights, console)
        except CurationError as error:
            failed.append(f"{error}")
            continue
        if problem := check(choice).problem:
            by_hand.append(f"{choice.backend} {problem}")
    console.print(
        f"weights are in {hub_cache()}; on nodes without network set HF_HUB_CACHE={hub_cache()}", soft_wrap=True
    )
    for line in [*(f"error: {line}" for line in failed), *(f"still to be done by hand: {line}" for line in by_hand)]:
        console.print(line, soft_wrap=True, markup=False)
    return 1 if failed or by_hand else 0


def _fetch_repository(settings: ModelConfig, console: Console) -> None:
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage]  (of the HTTP library that it uses)

    try:
        info = HfApi().model_info(settings.weights, revision=settings.revision, files_metadata=True)
        patterns = _BY_NAME.get(settings.weights, _WANTED)
        files = [file for file in info.siblings or [] if any(Path(file.rfilename).match(one) for one in patterns)]
        total = sum(file.size or 0 for file in files)
        console.print(f"  {len(files)} files, {_gib(total)}, revision {info.sha}")
        for number, file in enumerate(files, start=1):
            console.print(f"  {number} of {len(files)}: {file.rfilename}, {_gib(file.size or 0)}")
            hf_hub_download(settings.weights, file.rfilename, revision=info.sha, cache_dir=hub_cache())
    except (HTTPError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        wanted = f"{settings.weights} at revision {settings.revision or 'main'}"
        raise CurationError(f"cannot fetch {wanted}: {reason}; run it again to go on, or fetch it elsewhere") from error
    if settings.revision is None:
        reference = hub_cache() / f"models--{settings.weights.replace('/', '--')}" / "refs" / "main"
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(str(info.sha))


def _fetch_file(url: str, console: Console) -> None:
    """A file at an address; it gets its name when it is whole."""
    target = url_file(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    try:
        with urllib.request.urlopen(url, timeout=60) as response, partial.open("wb") as file:
            size = int(response.headers.get("Content-Length") or 0)
            console.print(f"  {target.name}, {_gib(size)}")
            with Progress(*columns, console=console) as progress:
                task = progress.add_task(target.name, total=size or None)
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
                    progress.advance(task, len(chunk))
        if size and partial.stat().st_size != size:
            raise OSError(f"got {partial.stat().st_size} of {size} bytes")
        shutil.move(partial, target)
    except (URLError, OSError) as error:
        raise CurationError(f"cannot fetch {url}: {error}; run it again, or fetch it elsewhere to {target}") from None
    finally:
        partial.unlink(missing_ok=True)


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**27 else f"{size / 2**20:.1f} MiB"
