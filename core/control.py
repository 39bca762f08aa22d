"""The controls of a running engine: pause, resume, stop, and changes of settings."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class RunControl:
    """The controls of a running engine. Any thread calls the verbs; the engine calls the rest, once per step."""

    _stop: threading.Event = field(default_factory=threading.Event)
    _go: threading.Event = field(default_factory=threading.Event)
    _changes: deque[Mapping[str, Any]] = field(default_factory=deque)
    keep_best: bool = False

    def __post_init__(self) -> None:
        self._go.set()

    def pause(self) -> None:
        self._go.clear()

    def resume(self) -> None:
        self._go.set()

    def stop(self, *, keep_best: bool = False) -> None:
        """Ask for a clean end with a checkpoint; also releases a pause.

        Args:
            keep_best: measure the last state too, and make the best checkpoint the run's result.
        """
        self.keep_best = keep_best
        self._stop.set()
        self._go.set()

    def change(self, changes: Mapping[str, Any]) -> None:
        """Queue changes of live settings by dotted path; the engine validates and applies them together."""
        self._changes.append(dict(changes))

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    @property
    def paused(self) -> bool:
        return not self._go.is_set()

    def wait_while_paused(self, seconds: float | None = None) -> None:
        """Until the pause ends, or for so many seconds."""
        self._go.wait(seconds)

    @property
    def changing(self) -> bool:
        """Whether changes are queued."""
        return bool(self._changes)

    def next_changes(self) -> Mapping[str, Any] | None:
        """Take the oldest queued changes."""
        try:
            return self._changes.popleft()
        except IndexError:
            return None
