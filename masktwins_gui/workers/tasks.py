"""One piece of work in another thread, with progress, cancelling and callbacks in the GUI thread."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Signal

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 0.05


@dataclass(frozen=True)
class Failure:
    """What a worker could not do: one sentence, and the traceback to copy."""

    message: str
    details: str


def attempt(function: Callable[[], Any]) -> tuple[Any, Failure | None]:
    """Call a worker's function and turn any exception into a Failure.

    The one broad except of all workers: whatever fails in a thread has to reach the user, not the void.
    """
    try:
        return function(), None
    except Exception as error:
        log.info("a worker failed: %s", error, exc_info=True)
        message = str(error).strip() or type(error).__name__
        return None, Failure(message, traceback.format_exc())


class Task(QObject):
    """Lives in the GUI thread; `execute`, `progress` and `cancelled` belong to the worker's thread.

    Signals to its own slots cross the threads, so that the callbacks may be any callable.
    """

    finished = Signal(object)  # itself, also after a cancellation
    _ended = Signal(object, object)
    _progressed = Signal(int, int)

    def __init__(
        self,
        function: Callable[[Any], Any],
        done: Callable[[Any], None],
        failed: Callable[[str, str], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        super().__init__()
        self._function = function
        self._done, self._failed, self._on_progress = done, failed, progress
        self._cancel = threading.Event()
        self._reported = 0.0
        self._ended.connect(self._deliver)
        self._progressed.connect(self._deliver_progress)

    # Any thread --------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Drop the result: no callback comes after this."""
        self._cancel.set()

    # Worker's thread ---------------------------------------------------------------------------

    def execute(self) -> None:
        result, failure = (None, None) if self.cancelled() else attempt(lambda: self._function(self))
        self._ended.emit(result, failure)

    def cancelled(self) -> bool:
        return self._cancel.is_set()

    def progress(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - self._reported > PROGRESS_SECONDS:
            self._reported = now
            self._progressed.emit(done, total)

    # GUI thread --------------------------------------------------------------------------------

    def _deliver_progress(self, done: int, total: int) -> None:
        if self._on_progress and not self.cancelled():
            self._on_progress(done, total)

    def _deliver(self, result: object, failure: Failure | None) -> None:
        self.finished.emit(self)
        if self.cancelled():
            return
        if failure is None:
            self._done(result)
        elif self._failed:
            self._failed(failure.message, failure.details)
