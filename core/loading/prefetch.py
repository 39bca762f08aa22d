"""Batches made ahead of the training by a few threads. Importable without torch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")


class Prefetcher(Generic[Item]):
    """Iterates `make(first)`, `make(first + 1)`, … `make(last - 1)` in order, made by `threads` threads ahead.

    The items do not depend on the number of threads, as long as `make` is a pure function; 0 threads: each item is
    made when it is asked for, by the thread that asks. An exception in `make` is raised where its item is asked for.

    One thread creates, iterates and closes it; `make` is called by the pool's threads (several at once), so that it
    must be safe for that. Use it in a `with`: leaving it waits for the threads, at most for the items being made.
    """

    def __init__(self, make: Callable[[int], Item], first: int, last: int, threads: int) -> None:
        self._make = make
        self._next = first
        self._last = last
        self._ahead = 2 * threads  # more than one per thread evens out slow files
        self._pending: deque[Future[Item]] = deque()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="prefetch") if threads else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop what is waiting and join the threads. May be called again."""
        self._next = self._last
        self._pending.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        if self._pool is None:
            return self._make(self._take_number())
        while self._next < self._last and len(self._pending) < self._ahead:
            self._pending.append(self._pool.submit(self._make, self._take_number()))
        if not self._pending:
            raise StopIteration
        item = self._pending.popleft().result()
        if self._next < self._last:  # refill at once, so that the threads work while the item is used
            self._pending.append(self._pool.submit(self._make, self._take_number()))
        return item

    def _take_number(self) -> int:
        if self._next >= self._last:
            raise StopIteration
        self._next += 1
        return self._next - 1
