"""What a video says of how it was made: in the comment of its mp4, as JSON, so that it can be made again."""

import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import av.error

from curation.contract.config import parse_config
from curation.contract.errors import UsageError
from curation.video.write import write_mp4
from inference.generate import Generation
from inference.memory import LoadConfig
from inference.request import Request, dump_request, parse_request

_VERSIONED = ("diffusers", "torch", "transformers")


@dataclass(frozen=True)
class Recipe:
    """What a video was generated from.

    Attributes:
        load: options that the model was loaded with, without the number of processes that shared the work.
    """

    request: Request
    load: LoadConfig


def write_generation(generation: Generation, output: Path) -> Path:
    """Write the canvas to `output` and the region box's part beside it, both at the request's rate, with metadata.

    Returns:
        Path of the region's video: NAME_region.mp4.

    Raises:
        UsageError: the folder of `output` does not exist.
    """
    if not output.absolute().parent.is_dir():
        raise UsageError(f"{output}: there is no folder {output.absolute().parent}; make it first")
    region = output.with_name(f"{output.stem}_region.mp4")
    fps = Fraction(generation.request.fps).limit_denominator(1001)
    metadata = {
        "title": generation.request.prompt,
        "comment": json.dumps(describe(generation, output.absolute().parent)),
    }
    write_mp4(output, generation.frames, fps, metadata=metadata)
    write_mp4(region, generation.region, fps, metadata=metadata)
    return region


def describe(generation: Generation, folder: Path) -> dict[str, Any]:
    """What makes the same video again: request, load options, weights, versions, digests of pictures and conditions.

    Args:
        folder: of the video; pictures below it are named relative to it, weights by their whole path.
    """
    request = dump_request(generation.request, folder, defaults=True)
    pictures = [request["first_frame"]["picture"]] + [
        identity["picture"] for item in request["objects"] for identity in item["identities"]
    ]
    seen, model = generation.conditions, generation.model
    lora = model.config.lora
    return {
        "request": request,
        "region_box": list(seen.region_box),
        "model_revision": model.revision,
        "load": model.config.model_dump(mode="json", exclude_defaults=True)
        | ({} if lora is None else {"lora": str(lora.absolute())}),
        "lora_sha256": None if lora is None else _digest(lora),
        "device": model.device,
        "dtype": model.dtype,
        "pictures_sha256": {path: _digest(folder / path) for path in pictures},
        "conditions_sha256": hashlib.sha256(
            b"".join(part.tobytes() for part in (seen.first_frame, seen.trajectories, seen.identities))
        ).hexdigest(),
        "versions": {name: version(name) for name in _VERSIONED},
    }


def read_metadata(path: Path) -> dict[str, Any]:
    """What `describe` put into a video.

    Raises:
        UsageError: it is no video of ours.
    """
    try:
        with av.open(path) as container:
            made = json.loads(container.metadata.get("comment", ""))
        whole = all(isinstance(made[part], dict) for part in ("request", "load", "pictures_sha256"))
    except (av.error.FFmpegError, OSError, ValueError, KeyError, TypeError):
        whole, made = False, {}
    if not whole:
        raise UsageError(f"{path}: not a video that was generated here; it says of no request")
    return made


def recipe_of_video(path: Path) -> Recipe:
    """What a video was generated from, to generate it again.

    Raises:
        UsageError: it is no video of ours, or a picture or LoRA that it was made from is gone or has changed.
    """
    made = read_metadata(path)
    request = parse_request(made["request"], str(path), path.parent)
    load = parse_config(LoadConfig, made["load"], str(path))
    for picture, digest in made["pictures_sha256"].items():
        _check(path, path.parent / picture, digest)
    if load.lora is not None:
        _check(path, load.lora, made["lora_sha256"])
    return Recipe(request, load.model_copy(update={"context_parallel": None}))


def _check(video: Path, file: Path, digest: str) -> None:
    if not file.exists():
        raise UsageError(f"{video}: was made from {file}, which is not there any more")
    if _digest(file) != digest:
        raise UsageError(f"{video}: was made from another {file} than the one that is there now")


def _digest(path: Path) -> str:
    """Of a file, or of all files in a folder."""
    found = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as opened:
                found.update(hashlib.file_digest(opened, "sha256").digest())
    return found.hexdigest()
