"""How the process keeps its memory: glibc's malloc, told not to give large blocks back after each use.

By default glibc maps every block over 32 MiB anew and unmaps it when freed. A training step on the CPU frees and takes dozens of
feature maps of that size, and the system clears each of their pages again every time: on two cores about a fifth
of a step. GPUs have torch's own cache and do not need this.
"""

from __future__ import annotations

import ctypes
import gc
import platform

# mallopt(3): the parameters' numbers in malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGEST = 2**31 - 1  # bytes; the values are ints


def keep_freed_memory() -> bool:
    """Let freed memory serve the next block of any size. Returns whether the system's malloc can be told so.

    One arena for all threads, as those of other threads than the first hold no block over 64 MiB: called before threads
    are started.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    values = {_MMAP_THRESHOLD: _LARGEST, _TRIM_THRESHOLD: _LARGEST, _ARENA_MAX: 1}
    return all(ctypes.CDLL(None).mallopt(parameter, value) for parameter, value in values.items())


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it says that memory was short: only CUDA has a class of its own for that (torch.OutOfMemoryError)."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in words or "can't allocate memory" in words)


def give_back_memory() -> None:
    """Collect reference cycles, which networks are part of, and return what is free to the system: at the end of a run."""
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
