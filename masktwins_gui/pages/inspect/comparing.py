"""Comparing A and B on every image of the list, in the background."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from masktwins_gui.models.desk import DeskModel
from masktwins_gui.models.services import Classes, Compared, CompareRequest, Handle, ImageFacts, Inference, Stage

REFRESH_MS = 400  # between two looks at the facts that come in


class Comparing(QObject):
    """Runs one comparison at a time; its facts go to the desk. What is known when it is cancelled stays."""

    running_changed = Signal(bool)
    progressed = Signal(int, int)
    refreshed = Signal()  # more is known
    failed = Signal(str, str)  # what happened, details

    def __init__(self, desk: DeskModel, inference: Inference, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk, self._inference = desk, inference
        self._task: Handle | None = None
        self._refresh = QTimer(self)
        self._refresh.setSingleShot(True)
        self._refresh.setInterval(REFRESH_MS)
        self._refresh.timeout.connect(self._tell)

    @property
    def running(self) -> bool:
        return self._task is not None

    def start(self, request: CompareRequest) -> None:
        """Begin; a comparison that runs is cancelled."""
        self.cancel()
        self._task = self._inference.compare(
            request, self._on_end, self._on_failure, self.progressed.emit, self._on_news
        )
        self.running_changed.emit(True)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._end()

    def _on_news(self, news: ImageFacts | Stage | Classes) -> None:
        if isinstance(news, Classes):
            self._desk.set_classes(news)
        elif isinstance(news, ImageFacts):
            self._desk.add([news], quietly=True)
            if not self._refresh.isActive():
                self._refresh.start()

    def _on_end(self, compared: Compared) -> None:
        self._end()
        if compared.left_out:
            text = self.tr("{0} images are left out: {1}").format(len(compared.left_out), compared.left_out[0])
            self.failed.emit(text, "\n".join(compared.left_out))

    def _on_failure(self, message: str, details: str) -> None:
        self._end()
        self.failed.emit(message, details)

    def _end(self) -> None:
        self._task = None
        self._refresh.stop()
        self.running_changed.emit(False)
        self._tell()

    def _tell(self) -> None:
        self._desk.changed.emit()
        self.refreshed.emit()
