"""This module keeps a process small that makes and frees buffers of megabytes all the time: they go back to the system."""

import ctypes
import sys

M_MMAP_THRESHOLD = -3
LARGE_BYTES = 256 * 1024


def return_large_buffers() -> None:
    """Map buffers of LARGE_BYTES and more on their own.

    glibc raises that limit by itself, up to 32 MiB, with each buffer that is freed; from then on they come from the heap, between
    small things that live long, and the heap grows for hours. Only glibc knows the setting; elsewhere nothing happens.
    """
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):
            library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
