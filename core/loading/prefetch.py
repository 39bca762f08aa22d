"""Work ahead in a few threads: results in order, and a bounded number of them. Importable without torch."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from types import TracebackType
from typing import Generic, Self, TypeVar

PATIENCE_S = 5.0  # for the threads, when it is closed

Item = TypeVar("Item")
Result = TypeVar("Result")

MIN_THREADS, MAX_THREADS = 2, 8  # one thread is late after every slow file; beyond eight the disk is the limit


def default_threads(processes: int = 1) -> int:
    """Return how many threads decode ahead: one per core, shared among the `processes` of this machine, 2 to 8."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux: what a container or a batch system allows
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(MAX_THREADS, max(MIN_THREADS, cores // processes))


class Prefetcher(Generic[Item, Result]):
    """Iterate over `make(item)` for each item, in the order of the items, made ahead by a few threads.

    The results do not depend on the number of threads, as long as `make` is a pure function. An exception in `make` is
    raised where its result is taken.

    One thread creates, iterates and closes it; the pool's threads call `make`, several at once, so `make` must be safe
    for that. Use it in a `with`: leaving it waits for the threads, at most for the results being made.

    Args:
        threads: 0 makes each result when it is asked for, in the thread that asks.
        ahead: results made or in the making at most; by default two per thread, which evens out slow files.
    """

    def __init__(
        self, make: Callable[[Item], Result], items: Iterable[Item], threads: int, ahead: int | None = None
    ) -> None:
        self._make = make
        self._items = iter(items)
        self._ahead = 2 * threads if ahead is None else ahead
        self._pending: deque[Future[Result]] = deque()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="prefetch") if threads else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop the waiting results and join the threads. May be called again.

        A thread that hangs for long, in a read from a drive that does not answer, is left behind.
        """
        self._items = iter(())
        running = [future for future in self._pending if not future.cancel()]
        self._pending.clear()
        if self._pool is not None:
            hanging = wait(running, PATIENCE_S).not_done
            self._pool.shutdown(wait=not hanging, cancel_futures=True)

    def ready(self, seconds: float) -> bool:
        """Wait at most so long for the next result. Return whether it can be taken, or its error raised, at once.

        Always true without threads.
        """
        if self._pool is None:
            return True
        self._refill(self._pool)
        return not self._pending or bool(wait([self._pending[0]], seconds).done)

    def __iter__(self) -> Iterator[Result]:
        return self

    def __next__(self) -> Result:
        if self._pool is None:
            return self._make(next(self._items))
        self._refill(self._pool)
        if not self._pending:
            raise StopIteration
        result = self._pending.popleft().result()
        self._refill(self._pool)  # at once, so that the threads work while the result is used
        return result

    def _refill(self, pool: ThreadPoolExecutor) -> None:
        for item in islice(self._items, self._ahead - len(self._pending)):
            self._pending.append(pool.submit(self._make, item))
