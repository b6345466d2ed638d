"""What glibc does with the memory that is freed: kept for the next step, where the backend frees it after each."""

import ctypes
import os
import platform

# Those of `mallopt`, in malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_SETTINGS = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
KEPT = "freed memory kept: the process does not give it back, and the next step need not ask for it anew"


def keep_freed_memory() -> str | None:
    """From now on have this process keep what it frees; a line on that, or None where nothing is done.

    By itself glibc gives each block of more than 32 MiB back to the system, which hands it out again page by page, each
    filled with zeros at its first use. PyTorch frees the activations of a step by `free`; TensorFlow with oneDNN has a
    pool of its own, and XLA's buffers come from elsewhere.

    Nothing is done where the C library is another one, another allocator is preloaded, or the user has set how glibc's
    behaves (mallopt(3), GLIBC_TUNABLES).
    """
    said = any(name in os.environ for name in _SETTINGS) or "malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if said or "malloc" in os.environ.get("LD_PRELOAD", "") or platform.libc_ver()[0] != "glibc":
        return None
    mallopt = ctypes.CDLL(None).mallopt
    # No block by `mmap`, and nothing given back from the end of the heap (-1: never). It returns 1 where it was set.
    return KEPT if mallopt(_MMAP_MAX, 0) == 1 and mallopt(_TRIM_THRESHOLD, -1) == 1 else None
