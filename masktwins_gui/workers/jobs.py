"""A thread pool for work that needs no torch: scanning, checking, thumbnails, the mask preview."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QRunnable, QThreadPool, Signal

from masktwins_gui.workers.tasks import Task


class _Runnable(QRunnable):
    def __init__(self, task: Task) -> None:
        super().__init__()
        self._task = task

    def run(self) -> None:
        self._task.execute()


class JobPool(QObject):
    """Implements `models.services.Jobs`. Its methods belong to the GUI thread."""

    idle = Signal()  # the last task has come back

    def __init__(self, threads: int = 2, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool()
        self._pool.setMaxThreadCount(threads)
        self._tasks: set[Task] = set()  # referenced until their last signal has been delivered
        self._by_key: dict[str, Task] = {}
        self._closed = False

    def submit(
        self,
        key: str,
        function: Callable[[Any], Any],
        done: Callable[[Any], None],
        failed: Callable[[str, str], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Task:
        """Start a task; one with the same key that has not come back is cancelled."""
        if (previous := self._by_key.get(key)) is not None:
            previous.cancel()
        task = Task(function, done, failed, progress)
        if self._closed:  # a timer of a window that is closing
            task.cancel()
            return task
        self._tasks.add(task)
        self._by_key[key] = task
        task.finished.connect(self._forget)
        self._pool.start(_Runnable(task))
        return task

    @property
    def busy(self) -> bool:
        return bool(self._tasks)

    def close(self) -> None:
        """Cancel everything and take nothing more. Does not wait: `idle` comes when the threads have ended their tasks."""
        self._closed = True
        for task in self._tasks:
            task.cancel()

    def _forget(self, task: Task) -> None:
        self._tasks.discard(task)
        for key in [k for k, t in self._by_key.items() if t is task]:
            del self._by_key[key]
        if not self._tasks:
            self.idle.emit()
