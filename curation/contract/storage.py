"""Where files lie: a local path or an URI of an object store; and patience with a store that fails for a while."""

import errno
import logging
import re
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.fs as pafs

logger = logging.getLogger(__name__)

T = TypeVar("T")

# How long a failing store is waited for before the work is given up, s.
PATIENCE_S = 300.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_PASSING = frozenset(
    {
        *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.ENOTCONN, errno.EHOSTDOWN),
        *(errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED),
        *(errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EPIPE),
    }
)
# Arrow tells of a store's answers in words only. These will be the same tomorrow; of 4xx, 408 and 429 pass.
_FINAL = re.compile(r"ACCESS_DENIED|NO_SUCH_BUCKET|INVALID_|SIGNATURE|Unrecognized|HTTP status 4(?!08|29)\d\d", re.I)


def open_filesystem(uri: str) -> tuple[pafs.FileSystem, str]:
    """The file system of an URI, and the path within it.

    Schemes that pyarrow does not know (az://, hf://, ...) go through fsspec, when its package for them is installed.

    Raises:
        OSError: the scheme is unknown or the store refuses, in one line.
    """
    try:
        return pafs.FileSystem.from_uri(uri)
    except (pa.ArrowException, ValueError) as error:
        if "Unrecognized filesystem type" not in str(error):
            raise OSError(" ".join(str(error).split())) from error
    import fsspec

    try:
        store, path = fsspec.url_to_fs(uri)
    except (ImportError, ValueError) as error:
        raise OSError(f"{urlsplit(uri).scheme}:// cannot be opened: {' '.join(str(error).split())}") from error
    return pafs.PyFileSystem(pafs.FSSpecHandler(store)), path


def is_passing(error: OSError) -> bool:
    """Whether waiting may help: a store that is away or overloaded, not one that refuses, and no full disk."""
    if error.errno is None:
        return not _FINAL.search(str(error))
    return error.errno in _PASSING


def patiently(work: Callable[[], T], name: str) -> T:
    """Do something with a store, again and again while it fails in a way that may pass, for PATIENCE_S.

    Args:
        name: what is read or written, for the log.

    Raises:
        OSError: it still failed then, or will fail for good.
    """
    began, wait = time.monotonic(), _FIRST_WAIT_S
    while True:
        try:
            return work()
        except OSError as error:
            if not is_passing(error) or time.monotonic() - began + wait > PATIENCE_S:
                raise
            logger.warning("%s: %s; trying again in %g s", name, " ".join(str(error).split()), wait)
        time.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT_S)


def cannot_go_on(error: OSError) -> str:
    """What to tell a person when a run folder cannot be read or written."""
    reason = " ".join(str(error).split())
    return f"the run folder cannot be used: {reason}. What is committed stays; put that right and run again"
