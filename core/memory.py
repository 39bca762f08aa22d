"""How the process keeps its memory: glibc's malloc is told to keep large freed blocks.

By default glibc maps every block over 32 MiB when it is needed and unmaps it when it is freed. A training step on the CPU
frees and takes dozens of feature maps of that size, and the system clears each of their pages every time: about a fifth
of a step on two cores. GPUs have torch's own cache and do not need this.
"""

from __future__ import annotations

import ctypes
import gc
import platform

# mallopt(3): the numbers of the parameters in malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -3, -4, -8
_LARGEST = 2**31 - 1  # bytes; the values are ints


def keep_freed_memory() -> bool:
    """Keep freed memory for the next block of any size. Return whether the system's malloc accepted it.

    Call it before threads are started: they get one common arena, because a block over 64 MiB fits only the first one.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # glibc before 2.35 refuses a threshold over 32 MiB; never mapping a block has the same effect.
    keeps_blocks = mallopt(_MMAP_THRESHOLD, _LARGEST) or mallopt(_MMAP_MAX, 0)
    others = [mallopt(_TRIM_THRESHOLD, _LARGEST), mallopt(_ARENA_MAX, 1)]
    return bool(keeps_blocks and all(others))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the error means that memory was short. Only CUDA has a class for it (torch.OutOfMemoryError)."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in words or "can't allocate memory" in words)


def give_back_memory() -> None:
    """Collect reference cycles, which networks are part of, and return free memory to the system. Call it after a run."""
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
