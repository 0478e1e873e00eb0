"""What a process does before it makes samples."""

import ctypes
import platform

import cv2

# mallopt parameters of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def set_up_worker(number: int = 0) -> None:
    """One OpenCV thread, as there is a process per core; and glibc keeps freed memory instead of handing it back.

    Every frame needs a few buffers of some MB. Fresh from the system they cost 1,300 page faults a frame at 704x1280,
    as much time as all arithmetic on them.
    """
    cv2.setNumThreads(1)
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(_TRIM_THRESHOLD, 128 << 20)
