"""What was made last, up to a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class BoundedCache(Generic[Value]):
    """Forgets what was used longest ago when it grows over its bound, but never what is pinned.

    Args:
        is_pinned: whether a key is in use; None: the newest one is.
    """

    def __init__(self, max_bytes: int, is_pinned: Callable[[Any], bool] | None = None) -> None:
        self.max_bytes = max_bytes
        self._is_pinned = is_pinned or (lambda key: key == next(reversed(self._kept)))
        self._kept: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self.num_bytes = 0

    def get(self, key: Hashable) -> Value | None:
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key][0]

    def put(self, key: Hashable, value: Value, num_bytes: int) -> None:
        self.drop(key)
        self._kept[key] = value, num_bytes
        self.num_bytes += num_bytes
        for old in list(self._kept):
            if self.num_bytes <= self.max_bytes:
                return
            if not self._is_pinned(old):
                self.drop(old)

    def drop(self, key: Hashable) -> None:
        if key in self._kept:
            self.num_bytes -= self._kept.pop(key)[1]

    def clear(self) -> None:
        self._kept.clear()
        self.num_bytes = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)
