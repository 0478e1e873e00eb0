"""Which video files there are: below a folder, below an object store's URI, or one file named by itself."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pyarrow import fs
from pydantic import Field

from curation.contract.config import Config
from curation.contract.errors import UsageError
from curation.contract.storage import open_filesystem
from curation.video.location import is_remote, local_path, local_uri, remote_uri


class InputConfig(Config):
    """Which files of the input count as videos."""

    extensions: tuple[str, ...] = Field(
        default=(
            *(
                "mp4",
                "m4v",
                "mov",
                "qt",
                "3gp",
                "3g2",
                "mkv",
                "webm",
                "avi",
                "divx",
                "ts",
                "mts",
                "m2ts",
                "mpg",
                "mpeg",
            ),
            *(
                "mpe",
                "vob",
                "flv",
                "f4v",
                "wmv",
                "asf",
                "ogv",
                "ogm",
                "mxf",
                "dv",
                "ivf",
                "h264",
                "264",
                "h265",
                "hevc",
            ),
        ),
        description="file name endings, lower case and without the dot, that are taken for videos",
    )
    follow_links: bool = Field(
        default=False, description="follow symbolic links that lead out of the input folder, and linked folders"
    )


@dataclass(frozen=True)
class SourceFile:
    """One input file.

    Attributes:
        uri: absolute path of a local file, URI of a remote one.
        relative_path: path below the input root, forward slashes; the file's name when the input is one file.
        bytes: file size.
    """

    uri: str
    relative_path: str
    bytes: int


@dataclass(frozen=True)
class Listing:
    """The videos of an input, sorted by relative path, and how many other files were passed over."""

    files: list[SourceFile]
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
        return Listing([SourceFile(local_uri(top), top.name, info.st_size)], ignored=0)
    if not stat.S_ISDIR(info.st_mode):
        raise UsageError(f"input {root!r} is neither a file nor a folder; give a folder of videos, a video or a URI")

    files, ignored, outside = [], 0, 0
    for path in _walk(top, config.follow_links):
        if not _is_video(path.name, config):
            ignored += 1
        elif path.is_symlink() and not config.follow_links and not _leads_inside(path, top):
            outside += 1
        elif path.is_file():
            files.append(SourceFile(local_uri(path), path.relative_to(top).as_posix(), path.stat().st_size))
    if not files:
        links = f", and {outside} links that lead out of it (input.follow_links follows them)" if outside else ""
        raise UsageError(_no_videos(root, ignored, links, config))
    return Listing(sorted(files, key=lambda file: file.relative_path), ignored + outside)


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
        return Listing([SourceFile(root, PurePosixPath(path).name, info.size)], ignored=0)

    visible = {
        relative: file
        for file in found
        if file.type == fs.FileType.File and not _is_hidden(relative := PurePosixPath(file.path).relative_to(path))
    }
    files = [
        SourceFile(remote_uri(root, file.path), relative.as_posix(), file.size)
        for relative, file in visible.items()
        if _is_video(relative.name, config)
    ]
    if not files:
        raise UsageError(_no_videos(root, len(visible), "", config))
    return Listing(sorted(files, key=lambda file: file.relative_path), len(visible) - len(files))


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
