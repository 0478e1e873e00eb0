"""What a process does before it makes samples."""

import ctypes
import platform

import cv2

# mallopt parameters of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def set_up_worker() -> None:
    """One OpenCV thread, as there is a process per core; and glibc keeps freed memory instead of handing it back.

    A sample of 81 frames at 704x1280 fills 440 MB. Fresh from the system, memory costs more than all arithmetic on it:
    pages to clear, and on virtual machines that give back what is free, pages to get from the host.
    """
    cv2.setNumThreads(1)
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_MAX, 0)
        libc.mallopt(_TRIM_THRESHOLD, 1 << 30)
