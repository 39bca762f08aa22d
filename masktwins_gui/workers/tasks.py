"""One piece of work in another thread, with progress, cancelling and callbacks in the GUI thread."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import deque
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
    """Lives in the GUI thread; `execute`, `progress`, `tell` and `cancelled` belong to the worker's thread.

    Results and news stay here until the GUI thread takes them: signals carry nothing, so that no image waits in Qt's queue.
    """

    finished = Signal(object)  # itself, also after a cancellation
    _ended = Signal()
    _progressed = Signal(int, int)
    _told = Signal()

    def __init__(
        self,
        function: Callable[[Any], Any],
        done: Callable[[Any], None],
        failed: Callable[[str, str], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
        news: Callable[[Any], None] | None = None,
    ) -> None:
        super().__init__()
        self._function = function
        self._done, self._failed, self._on_progress, self._on_news = done, failed, progress, news
        self._cancel = threading.Event()
        self._outcome: tuple[Any, Failure | None] = (None, None)
        self._news: deque[Any] = deque()
        self._reported = 0.0
        self._ended.connect(self._deliver)
        self._progressed.connect(self._deliver_progress)
        self._told.connect(self._deliver_news)

    # Any thread --------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Drop the result: no callback comes after this."""
        self._cancel.set()

    # Worker's thread ---------------------------------------------------------------------------

    def execute(self) -> None:
        if not self.cancelled():
            self._outcome = attempt(lambda: self._function(self))
        self._ended.emit()

    def cancelled(self) -> bool:
        return self._cancel.is_set()

    def progress(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - self._reported > PROGRESS_SECONDS:
            self._reported = now
            self._progressed.emit(done, total)

    def tell(self, item: object) -> None:
        """Hand over a result in part, or say what is happening."""
        self._news.append(item)
        self._told.emit()

    # GUI thread --------------------------------------------------------------------------------

    def _deliver_progress(self, done: int, total: int) -> None:
        if self._on_progress and not self.cancelled():
            self._on_progress(done, total)

    def _deliver_news(self) -> None:
        while self._news:
            item = self._news.popleft()
            if self._on_news and not self.cancelled():
                self._on_news(item)

    def _deliver(self) -> None:
        (result, failure), self._outcome = self._outcome, (None, None)
        self._deliver_news()
        self.finished.emit(self)
        if self.cancelled():
            return
        if failure is None:
            self._done(result)
        elif self._failed:
            self._failed(failure.message, failure.details)
