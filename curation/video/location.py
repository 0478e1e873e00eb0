"""What a `uri` means: an absolute local path, a file:// URI of one, or something an object store holds."""

import os
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit


def is_remote(uri: str) -> bool:
    """Whether `uri` has a scheme (s3://, gs://, ...) other than file://."""
    return "://" in uri and not uri.startswith("file://")


def local_path(uri: str) -> str:
    """Path of a local file from a path or a file:// URI."""
    if uri.startswith("file://"):
        return os.fsdecode(unquote_to_bytes(urlsplit(uri).path))
    return uri


def file_name(uri: str) -> str:
    """The file's name as one line of valid text, for messages."""
    parts = urlsplit(uri)
    path = parts.netloc + unquote(parts.path) if is_remote(uri) else local_path(uri)
    return " ".join(PurePosixPath(path).name.encode(errors="replace").decode().split())


def local_uri(path: Path) -> str:
    """The absolute path; a file:// URI for the rare name that is no valid text, so that a manifest can hold it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return "file://" + quote(os.fsencode(path))
    return str(path)


def remote_uri(root: str, path: str) -> str:
    """URI of `path` in the same store as `root`, whose query (region, endpoint) it keeps."""
    parts = urlsplit(root)
    return f"{parts.scheme}://{quote(path)}" + (f"?{parts.query}" if parts.query else "")
