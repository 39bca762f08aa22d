"""One thread for everything but training that needs torch: predictions for Inspect, measuring, export.

Torch-bearing modules are imported inside the functions that run in that thread.
"""

from __future__ import annotations

import queue
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QThread

from core.events import Scores
from masktwins_gui.models.exports import ExportRow
from masktwins_gui.models.services import (
    ExportRequest,
    MeasureRequest,
    ModelChoice,
    Prediction,
    PredictRequest,
    TaskContext,
)
from masktwins_gui.workers.tasks import Task

if TYPE_CHECKING:
    from core.evaluation.predictor import Predictor
    from core.networks.store import LoadedModel

KEPT_MODELS = 4


class InferenceWorker(QThread):
    """Implements `models.services.Inference`. `submit`, the requests and `close` belong to the GUI thread."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue: queue.Queue[Task | None] = queue.Queue()
        self._tasks: set[Task] = set()
        self._latest: dict[str, Task] = {}
        self._models = _Models()
        self._closed = False

    # GUI thread --------------------------------------------------------------------------------

    def predict(self, request: PredictRequest, done: Callable, failed: Callable) -> Task:
        return self.submit("predict", lambda _: _predict(request, self._models), done, failed)

    def measure(self, request: MeasureRequest, done: Callable, failed: Callable, progress: Callable) -> Task:
        return self.submit("measure", lambda task: _measure(request, self._models, task), done, failed, progress)

    def export(self, request: ExportRequest, done: Callable, failed: Callable, progress: Callable) -> Task:
        return self.submit("export", lambda task: _export(request, task), done, failed, progress)

    def submit(
        self,
        key: str,
        function: Callable[[Any], Any],
        done: Callable[[Any], None],
        failed: Callable[[str, str], None],
        progress: Callable[[int, int], None] | None = None,
    ) -> Task:
        """Queue a task; a waiting one with the same key is dropped. The thread starts with the first."""
        if (previous := self._latest.get(key)) is not None:
            previous.cancel()
        task = Task(function, done, failed, progress)
        if self._closed:
            task.cancel()
            return task
        task.finished.connect(self._forget)
        self._tasks.add(task)
        self._latest[key] = task
        self._queue.put(task)
        if not self.isRunning():
            self.start()
        return task

    def close(self) -> None:
        """Cancel everything and wait for the thread; nothing more is taken."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self.isRunning():
            self._queue.put(None)
            self.wait()

    def _forget(self, task: Task) -> None:
        self._tasks.discard(task)
        for key in [k for k, t in self._latest.items() if t is task]:
            del self._latest[key]

    # Worker's thread ---------------------------------------------------------------------------

    def run(self) -> None:
        while (task := self._queue.get()) is not None:
            task.execute()


class _Models:
    """The models used last, ready to predict. Worker's thread only."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[ModelChoice, str, float], tuple[LoadedModel, Predictor]] = OrderedDict()

    def get(self, choice: ModelChoice, device: str = "cpu") -> tuple[LoadedModel, Predictor]:
        from core.evaluation.predictor import Predictor
        from core.networks.store import load_model

        status = choice.path / "status.json"  # a run that trains on has new weights under the same name
        key = (choice, device, status.stat().st_mtime if status.exists() else 0.0)
        if key not in self._kept:
            model = load_model(choice.path, choice.which, choice.checkpoint)
            self._kept[key] = (model, Predictor(model.segmenter, device=device))
            while len(self._kept) > KEPT_MODELS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def _predict(request: PredictRequest, models: _Models) -> Prediction:
    from core.dataset.reading import read_image, read_label
    from core.dataset.recognise import resolve_space

    image = read_image(request.image)
    model, first = models.get(request.first, request.device)
    _, second = models.get(request.second, request.device)
    label = None
    if request.label is not None:
        space = resolve_space(request.label_space, request.labels or (request.label,)).space
        label = read_label(request.label, space)
    return Prediction(
        image, first.predict(image), second.predict(image), label, tuple(model.palette), tuple(model.classes)
    )


def _measure(request: MeasureRequest, models: _Models, task: TaskContext) -> tuple[Scores, Scores]:
    from core.dataset.folders import scan
    from core.dataset.recognise import resolve_space
    from core.evaluation.scoring import evaluate

    pairs = [p for p in scan(request.images, request.labels).pairs if p.label is not None]
    space = resolve_space(request.label_space, [p.label for p in pairs if p.label is not None]).space
    scores = []
    for index, choice in enumerate((request.first, request.second)):
        _, predictor = models.get(choice, request.device)
        start = index * len(pairs)
        scores.append(
            evaluate(
                predictor,
                pairs,
                space,
                progress=lambda done, _, start=start: task.progress(start + done, 2 * len(pairs)),
                cancelled=task.cancelled,
            )
        )
    return scores[0], scores[1]


def _export(request: ExportRequest, task: TaskContext) -> tuple[ExportRow, ...]:
    from core.export.bundle import Format, export
    from core.networks.store import load_model

    model = load_model(request.model.path, request.model.which, request.model.checkpoint)
    report = export(
        model,
        request.out,
        [Format(name) for name in request.formats],
        request.images,
        progress=task.progress,
        cancelled=task.cancelled,
        config=request.config,
    )
    rows = []
    for form, parity in report.parity.items():
        path = report.path / f"model.{form.value}"
        rows.append(
            ExportRow(path.name, path.stat().st_size, parity.largest_difference, parity.equal_pixels, parity.samples)
        )
    return tuple(rows)
