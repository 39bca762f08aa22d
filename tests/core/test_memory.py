"""glibc's malloc keeps freed blocks and returns them when asked. It holds for a whole process, so a new one is started."""

import platform
import subprocess
import sys

import pytest

from core import memory
from core.memory import is_out_of_memory

SCRIPT = """
import sys, threading
import numpy as np, psutil
from core.memory import give_back_memory, keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
memory = lambda: psutil.Process().memory_info().rss >> 20
def work():
    block = np.ones(200 << 20, np.uint8)
    pin.append(np.ones(1000, np.uint8))  # lies above the block
    del block
    after.append(memory())
pin, after = [], []
thread = threading.Thread(target=work)
thread.start()
thread.join()
give_back_memory()
print(after[0], memory())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")
@pytest.mark.parametrize("mode", ["keep", "plain"])
def test_a_freed_block_of_any_thread_stays_until_it_is_given_back(mode):
    done = subprocess.run([sys.executable, "-c", SCRIPT, mode], capture_output=True, text=True, check=True)
    freed, given_back = map(int, done.stdout.split())
    assert (freed > 200) == (mode == "keep")
    assert given_back < 150


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")
@pytest.mark.parametrize(("refused", "accepted"), [(set(), True), ({-3}, True), ({-3, -4}, False), ({-8}, False)])
def test_an_older_glibc_that_refuses_the_threshold_still_gets_the_other_parameters(monkeypatch, refused, accepted):
    asked = []

    class Libc:
        @staticmethod
        def mallopt(parameter, value):
            asked.append(parameter)
            return int(parameter not in refused)

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: Libc)
    assert memory.keep_freed_memory() is accepted
    assert {-1, -3, -8} <= set(asked)


def test_short_memory_is_recognised_by_class_or_words():
    class OutOfMemoryError(RuntimeError):
        """As torch's."""

    short = (
        OutOfMemoryError("Allocation failed"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GiB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    )
    assert all(map(is_out_of_memory, short))
    assert not any(map(is_out_of_memory, (RuntimeError("CUDA error"), ValueError("out of memory"))))
