"""The window's size, splitters, columns and open page, from one start to the next."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QRect, QSettings, QSize
from PySide6.QtWidgets import QMainWindow, QSplitter, QTableView, QWidget

USUAL_SIZE = QSize(1280, 720)


class LayoutMemory:
    """Keeps the layout of one window in `store`."""

    def __init__(self, window: QMainWindow, store: QSettings) -> None:
        self._window, self._store = window, store

    def restore_window(self) -> None:
        """Give the window its former place, or its usual size as far as the screen has room."""
        geometry = self._store.value("geometry")
        if isinstance(geometry, QByteArray):
            self._window.restoreGeometry(geometry)
        else:
            self._window.resize(USUAL_SIZE.boundedTo(self._window.screen().availableGeometry().size()))

    def fit_to_screen(self) -> None:
        """Bring the whole window, with the frame that the desktop draws around it, onto the screen."""
        if self._window.isMaximized() or self._window.isFullScreen():
            return
        room, frame, inner = (
            self._window.screen().availableGeometry(),
            self._window.frameGeometry(),
            self._window.geometry(),
        )
        border = frame.size() - inner.size()
        self._window.resize(inner.size().boundedTo(room.size() - border))
        place = inside(QRect(frame.topLeft(), self._window.size() + border), room)
        if place.topLeft() != frame.topLeft():
            self._window.move(place.topLeft())

    def restore_page(self, page: QWidget) -> None:
        """Give a page's splitters and columns their former widths."""
        for splitter in _splitters(page):
            if isinstance(state := self._store.value(f"splitters/{splitter.objectName()}"), QByteArray):
                splitter.restoreState(state)
        for table in _tables(page):
            if isinstance(state := self._store.value(f"columns/{table.objectName()}"), QByteArray):
                table.horizontalHeader().restoreState(state)

    @property
    def page(self) -> str:
        """The page that was open last."""
        return str(self._store.value("page", ""))

    def remember(self, page: str) -> None:
        self._store.setValue("page", page)
        self._store.setValue("geometry", self._window.saveGeometry())
        for splitter in _splitters(self._window):
            self._store.setValue(f"splitters/{splitter.objectName()}", splitter.saveState())
        for table in _tables(self._window):
            self._store.setValue(f"columns/{table.objectName()}", table.horizontalHeader().saveState())

    def reset(self) -> None:
        """Forget everything and go back to the usual sizes."""
        for key in ("splitters", "columns", "geometry", "page"):
            self._store.remove(key)
        self._window.resize(USUAL_SIZE)
        self.fit_to_screen()
        for splitter in _splitters(self._window):
            width, others = splitter.width(), splitter.count() - 1
            share = 0.3 if others == 1 else 1 / splitter.count()
            splitter.setSizes([int(width * share)] + [int(width * (1 - share) / others)] * others)


def inside(window: QRect, room: QRect) -> QRect:
    """Move a rectangle as little as possible so that it lies in the room; its top left corner comes first."""
    left = max(room.left(), min(window.left(), room.right() + 1 - window.width()))
    top = max(room.top(), min(window.top(), room.bottom() + 1 - window.height()))
    return QRect(left, top, window.width(), window.height())


def _splitters(widget: QWidget) -> list[QSplitter]:
    return [splitter for splitter in widget.findChildren(QSplitter) if splitter.objectName()]


def _tables(widget: QWidget) -> list[QTableView]:
    return [table for table in widget.findChildren(QTableView) if table.objectName()]
