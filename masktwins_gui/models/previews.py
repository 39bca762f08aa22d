"""The pictures of the preview frames, the newest and a thinned history of them."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from core.events import PreviewReady

LIMIT_BYTES = 400_000_000


class PreviewHistory(QObject):
    """Keeps previews by step within a memory limit; the oldest neighbours are thinned out, never the first or the last."""

    changed = Signal()

    def __init__(self, limit_bytes: int = LIMIT_BYTES, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._limit = limit_bytes
        self.previews: list[PreviewReady] = []

    def add(self, preview: PreviewReady) -> None:
        self.previews = [p for p in self.previews if p.step < preview.step]
        self.previews.append(preview)
        while len(self.previews) > 2 and sum(map(_bytes, self.previews)) > self._limit:
            self.previews = [self.previews[0], *self.previews[2::2][:-1], self.previews[-1]]
        self.changed.emit()

    def clear(self) -> None:
        self.previews.clear()
        self.changed.emit()


def _bytes(preview: PreviewReady) -> int:
    return sum(picture.nbytes for frame in preview.frames for picture in frame.values())
