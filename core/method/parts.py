"""Name the parts of a training step, for profilers and for `bench`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch.profiler import record_function

Seconds = dict[str, float]

_watch: ContextVar[tuple[Seconds, Callable[[], None]] | None] = ContextVar("watch", default=None)


@contextmanager
def part(name: str) -> Iterator[None]:
    """Enclose a part of the step. Costs next to nothing where nobody profiles or times it."""
    watch = _watch.get()
    with record_function(f"masktwins::{name}"):
        if watch is None:
            yield
            return
        seconds, wait = watch
        wait()
        started = time.perf_counter()
        yield
        wait()
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started


@contextmanager
def timing(wait: Callable[[], None]) -> Iterator[Seconds]:
    """Add up the wall time of each part of the steps inside, in seconds by name.

    Args:
        wait: returns when the device has done its work. On a GPU the parts then no longer overlap, so their sum is more
            than an untimed step takes.
    """
    seconds: Seconds = {}
    token = _watch.set((seconds, wait))
    try:
        yield seconds
    finally:
        _watch.reset(token)
