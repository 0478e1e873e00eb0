"""Which video files there are: below a folder, below an object store's URI, or one file named by itself."""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

import polars as pl
from pyarrow import fs

from curation.contract.errors import UsageError
from curation.contract.ids import video_id
from curation.contract.storage import open_filesystem
from curation.video.input_config import InputConfig
from curation.video.location import is_remote, local_path, local_uri, remote_uri

COLUMNS = {"video_id": pl.String, "uri": pl.String, "bytes": pl.Int64}
_ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Listing:
    """The videos of an input, and how many other files were passed over.

    Attributes:
        files: one row a video, sorted by video_id: video_id (from the path below the input root), uri (absolute path
            of a local file, URI of a remote one), bytes. A table, as there may be millions.
    """

    files: pl.DataFrame
    ignored: int


def list_videos(root: str, config: InputConfig) -> Listing:
    """Find the videos at `root`: a folder (searched through), a single file, or a URI (s3://, gs://, file://).

    Hidden files and folders are skipped. Unless `follow_links`, a symbolic link counts only when it leads to a file
    inside the root, so that an input never reaches outside itself. A file that is named by itself is taken whatever its
    name.

    Raises:
        UsageError: nothing is there, it cannot be read, or it holds no video.
    """
    if is_remote(root):
        return _remote(root, config)
    return _local(root, config)


def _local(root: str, config: InputConfig) -> Listing:
    top = Path(os.path.abspath(local_path(root)))  # noqa: PTH100 - a link given as the root keeps its name
    try:
        info = top.stat()
    except FileNotFoundError:
        raise UsageError(_missing(root, top)) from None
    except OSError as error:
        raise UsageError(f"input {root!r} cannot be read: {error.strerror}; check its permissions") from None
    if stat.S_ISREG(info.st_mode):
        return Listing(_table([(video_id(top.name), local_uri(top), info.st_size)]), ignored=0)
    if not stat.S_ISDIR(info.st_mode):
        raise UsageError(f"input {root!r} is neither a file nor a folder; give a folder of videos, a video or a URI")

    passed = Counter()
    files = _table(_local_files(top, config, passed))
    if files.is_empty():
        outside = passed["outside"]
        links = f", and {outside} links that lead out of it (input.follow_links follows them)" if outside else ""
        raise UsageError(_no_videos(root, passed["ignored"], links, config))
    return Listing(files, passed.total())


def _local_files(top: Path, config: InputConfig, passed: Counter[str]) -> Iterator[tuple[str, str, int]]:
    """Rows of COLUMNS; what is passed over is counted in `passed`."""
    for path in _walk(top, config.follow_links):
        if not _is_video(path.name, config):
            passed["ignored"] += 1
        elif path.is_symlink() and not config.follow_links and not _leads_inside(path, top):
            passed["outside"] += 1
        elif path.is_file():
            yield video_id(path.relative_to(top).as_posix()), local_uri(path), path.stat().st_size


def _table(files: Iterable[tuple[str, str, int]]) -> pl.DataFrame:
    """Rows of COLUMNS as a table, with few of them at once as Python objects.

    Raises:
        UsageError: two files would have one id.
    """
    remaining = iter(files)
    parts = [pl.DataFrame(schema=COLUMNS)]
    while part := list(islice(remaining, _ROWS_AT_ONCE)):
        parts.append(pl.DataFrame(part, schema=COLUMNS, orient="row"))
    table = pl.concat(parts).sort("video_id", "uri")
    twice = table.filter(pl.col("video_id") == pl.col("video_id").shift())
    if not twice.is_empty():  # ids end in 32 bits of a hash
        same = table.filter(pl.col("video_id") == twice["video_id"][0])["uri"]
        raise UsageError(f"{same[0]} and {same[1]} would share the id {twice['video_id'][0]}; rename one of them")
    return table


def _walk(top: Path, follow_links: bool) -> Iterator[Path]:
    """Every file below `top` that is not hidden. Linked folders are entered when asked, each real folder once."""

    def unreadable(error: OSError) -> None:
        raise UsageError(
            f"folder {error.filename!r} cannot be read: {error.strerror}; grant read access or move it away"
        )

    entered: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(top, onerror=unreadable, followlinks=follow_links):
        if follow_links:  # a link to a folder above would be walked without end
            info = Path(folder).stat()
            if (info.st_dev, info.st_ino) in entered:
                folders.clear()
                continue
            entered.add((info.st_dev, info.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _leads_inside(link: Path, top: Path) -> bool:
    try:
        return link.resolve(strict=True).is_relative_to(top.resolve())
    except (OSError, RuntimeError):  # dangling, or a loop
        return False


def _remote(root: str, config: InputConfig) -> Listing:
    try:
        store, path = open_filesystem(root)
        info = store.get_file_info(path)
        found = store.get_file_info(fs.FileSelector(path, recursive=True)) if info.type == fs.FileType.Directory else []
    except OSError as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"input {root!r} cannot be read: {reason}; check the address and the credentials") from None
    if info.type == fs.FileType.NotFound:
        raise UsageError(f"input {root!r} does not exist; check the bucket and the path")
    if info.type == fs.FileType.File:
        return Listing(_table([(video_id(PurePosixPath(path).name), root, info.size)]), ignored=0)

    passed = Counter()
    files = _table(_remote_files(root, path, found, config, passed))
    if files.is_empty():
        raise UsageError(_no_videos(root, passed["ignored"], "", config))
    return Listing(files, passed.total())


def _remote_files(
    root: str, path: str, found: list[fs.FileInfo], config: InputConfig, passed: Counter[str]
) -> Iterator[tuple[str, str, int]]:
    """As `_local_files`."""
    for file in found:
        relative = PurePosixPath(file.path).relative_to(path)
        if file.type != fs.FileType.File or _is_hidden(relative):
            continue
        if _is_video(relative.name, config):
            yield video_id(relative.as_posix()), remote_uri(root, file.path), file.size
        else:
            passed["ignored"] += 1


def _is_video(name: str, config: InputConfig) -> bool:
    return PurePosixPath(name).suffix[1:].lower() in config.extensions


def _is_hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _missing(root: str, path: Path) -> str:
    if not Path(local_path(root)).is_absolute():
        return (
            f"input {root!r} does not exist (looked at {str(path)!r}); a Ray job runs in an uploaded copy of the "
            "working directory, so give it an absolute path or a URI"
        )
    return f"input {root!r} does not exist; give a folder of videos, a video or a URI"


def _no_videos(root: str, ignored: int, links: str, config: InputConfig) -> str:
    endings = ", ".join(config.extensions[:8])
    return (
        f"input {root!r} holds no video: {ignored} other files{links}; videos end in {endings}, ... "
        "(input.extensions in the config)"
    )
