"""One thread for everything but training that needs torch: predictions for Inspect, comparing, export.

The device is chosen by `core.evaluation.viewing.place_of`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QThread

from masktwins_gui.models.services import (
    CompareRequest,
    ExportRequest,
    PredictFilesRequest,
    PredictRequest,
)
from masktwins_gui.workers import predicting
from masktwins_gui.workers.tasks import Task

URGENT, LONG, AHEAD = range(3)  # in this order
LONGEST_REST = 2.0  # seconds that a long task leaves to a training between two images


class InferenceWorker(QThread):
    """Implements `models.services.Inference`. `submit`, the requests and `close` belong to the GUI thread.

    Predictions that somebody waits for come first: also while a long task runs, which lets them pass between two images.
    Predictions ahead of their time come last. While a run trains, long tasks and those rest between images for as long as
    an image took, so that the training gets half of the device at least.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._changed = threading.Condition()
        self._waiting: dict[int, deque[Task]] = {level: deque() for level in (URGENT, LONG, AHEAD)}
        self._tasks: set[Task] = set()
        self._latest: dict[str, Task] = {}
        self._models = predicting.Models()
        self._closed = False
        self._yields = False
        self._last_pause = 0.0  # the inference thread's

    # GUI thread --------------------------------------------------------------------------------

    def predict(self, request: PredictRequest, done: Callable, failed: Callable, stage: Callable | None = None) -> Task:
        def work(task: Task) -> Any:
            if request.ahead and self._let_pass(task):
                return None
            return predicting.predict(request, self._models, task)

        level = AHEAD if request.ahead else URGENT
        return self.submit(f"predict {id(request)}", work, done, failed, news=stage, level=level)

    def compare(
        self, request: CompareRequest, done: Callable, failed: Callable, progress: Callable, found: Callable
    ) -> Task:
        def work(task: Task) -> Any:
            return predicting.compare_all(request, self._models, task, lambda: self._let_pass(task))

        return self.submit("compare", work, done, failed, progress, found)

    def export(self, request: ExportRequest, done: Callable, failed: Callable, progress: Callable) -> Task:
        def work(task: Task) -> Any:
            return predicting.export(request, task, lambda: self._let_pass(task))

        return self.submit("export", work, done, failed, progress)

    def predict_files(self, request: PredictFilesRequest, done: Callable, failed: Callable, progress: Callable) -> Task:
        def work(task: Task) -> Any:
            return predicting.predict_files(request, self._models, task, lambda: self._let_pass(task))

        return self.submit("files", work, done, failed, progress)

    def submit(
        self,
        key: str,
        function: Callable[[Any], Any],
        done: Callable[[Any], None],
        failed: Callable[[str, str], None],
        progress: Callable[[int, int], None] | None = None,
        news: Callable[[Any], None] | None = None,
        level: int = LONG,
    ) -> Task:
        """Queue a task; one with the same key is cancelled. The thread starts with the first.

        Args:
            level: URGENT, LONG or AHEAD.
        """
        if (previous := self._latest.get(key)) is not None:
            previous.cancel()
        task = Task(function, done, failed, progress, news)
        if self._closed:
            task.cancel()
            return task
        task.finished.connect(self._forget)
        self._tasks.add(task)
        self._latest[key] = task
        with self._changed:
            self._waiting[level].append(task)
            self._changed.notify()
        if not self.isRunning():
            self.start()
        return task

    def set_yielding(self, yields: bool) -> None:
        """Whether a training shares the device."""
        self._yields = yields

    def close(self) -> None:
        """Cancel everything and take nothing more; the thread ends after the window it is predicting. Does not wait."""
        with self._changed:
            self._closed = True
            for task in self._tasks:
                task.cancel()
            self._changed.notify()

    def _forget(self, task: Task) -> None:
        self._tasks.discard(task)
        for key in [k for k, t in self._latest.items() if t is task]:
            del self._latest[key]

    # Worker's thread ---------------------------------------------------------------------------

    def run(self) -> None:
        while (task := self._next()) is not None:
            task.execute()

    def _next(self) -> Task | None:
        """The most urgent task; waits for one. None once closed, when what was waiting has been taken."""
        with self._changed:
            while not any(self._waiting.values()) and not self._closed:
                self._changed.wait()
            queue = next((queue for queue in self._waiting.values() if queue), None)
            return queue.popleft() if queue else None

    def _let_pass(self, task: Task) -> bool:
        """Between two images of a long task: do what is urgent, and rest while a run trains. Whether it was cancelled."""
        now = time.monotonic()
        rest_until = now + min(now - self._last_pause, LONGEST_REST) if self._yields else now
        while (urgent := self._next_urgent(rest_until)) is not None and not task.cancelled():
            urgent.execute()
        self._last_pause = time.monotonic()
        return task.cancelled()

    def _next_urgent(self, until: float) -> Task | None:
        """The next urgent task; None when the time is up and there is none."""
        with self._changed:
            while not self._waiting[URGENT] and not self._closed and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            return self._waiting[URGENT].popleft() if self._waiting[URGENT] else None
