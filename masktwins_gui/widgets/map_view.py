"""A map of dots: the wheel zooms, the right button drags, a click chooses a dot, a lasso drawn by the left button several."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QPolygonF,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from masktwins_gui import theme
from masktwins_gui.models.scatter import inside

MARGIN = 26
REACH = 10  # pixels within which a click finds a dot
SMALLEST_LASSO = 6  # pixels; a shorter way is a click
# Pixels of a dot: a disc, and a ring, so that the two kinds differ without colour.
_GRID = np.mgrid[-4:5, -4:5].reshape(2, -1).T
DISC = _GRID[(_GRID**2).sum(1) <= 10]
RING = _GRID[((_GRID**2).sum(1) <= 16) & ((_GRID**2).sum(1) >= 9)]


class MapView(QWidget):
    """Draws points as pixels of one image, so that 20,000 of them cost a few milliseconds."""

    chosen = Signal(int)
    lassoed = Signal(object)  # indices of the points within, or None for all

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._points = np.zeros((0, 2))
        self._is_ring = np.zeros(0, bool)
        self._current = -1
        self._titles = ("", "")
        self.zoom, self.centre = 1.0, QPointF(0.5, 0.5)
        self._low, self._size = np.zeros(2), np.ones(2)
        self._lasso: list[QPointF] = []
        self._grabbed: QPointF | None = None
        self.hint = ""
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(120, 120)

    # Content -----------------------------------------------------------------------------------

    def set_points(self, points: np.ndarray, is_ring: np.ndarray, bounds: np.ndarray | None = None) -> None:
        """Show points (N, 2), y upwards; those with `is_ring` (N,) bool as rings.

        Args:
            bounds: points (M, 2) that fit into the view too, so that two maps have the same scale.
        """
        self._points, self._is_ring = points, is_ring
        extent = points if bounds is None else bounds
        if len(extent):
            self._low = extent.min(0)
            self._size = np.maximum(extent.max(0) - self._low, 1e-9)
        self.update()

    def set_current(self, index: int) -> None:
        """Mark one point; −1 marks none."""
        self._current = index
        self.update()

    def set_titles(self, horizontal: str, vertical: str) -> None:
        self._titles = horizontal, vertical
        self.update()

    # Geometry ----------------------------------------------------------------------------------

    def positions(self) -> np.ndarray:
        """The points in pixels of the widget (N, 2)."""
        share = (self._points - self._low) / self._size
        share[:, 1] = 1 - share[:, 1]
        span = np.array([self.width() - 2 * MARGIN, self.height() - 2 * MARGIN])
        centre = np.array([self.centre.x(), self.centre.y()])
        middle = np.array([self.width() / 2, self.height() / 2])
        return (share - centre) * span * self.zoom + middle

    def point_at(self, place: QPointF) -> int:
        """The point nearest to a place in the widget; −1 where none is near."""
        if not len(self._points):
            return -1
        distances = np.hypot(*(self.positions() - np.array([place.x(), place.y()])).T)
        nearest = int(distances.argmin())
        return nearest if distances[nearest] <= REACH else -1

    # Painting ----------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), self.palette().color(QPalette.ColorRole.Base))
        painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
        if not len(self._points):
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.rect().adjusted(10, 10, -10, -10), flags, self.hint)
        else:
            painter.drawImage(0, 0, self._dots())
            painter.drawText(MARGIN, self.height() - 6, f"{self._titles[0]} →")
            painter.save()
            painter.translate(14, self.height() - MARGIN)
            painter.rotate(-90)
            painter.drawText(0, 0, f"{self._titles[1]} →")
            painter.restore()
            self._paint_current(painter)
        if self._lasso:
            painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Text), 1, Qt.PenStyle.DashLine))
            painter.drawPolygon(QPolygonF(self._lasso))
        if self.hasFocus():
            painter.setPen(QPen(QColor(theme.colours().focus), 2))
            painter.drawRect(self.rect().adjusted(1, 1, -1, -1))

    def _dots(self) -> QImage:
        width, height = self.width(), self.height()
        pixels = np.zeros((height, width), np.uint32)
        places = np.rint(self.positions()).astype(np.int64)
        disc, ring = (QColor(theme.colours().series[index]).rgba() for index in (0, 1))
        for mask, shape, colour in ((~self._is_ring, DISC, disc), (self._is_ring, RING, ring)):
            for dx, dy in shape:
                x, y = places[mask, 0] + dx, places[mask, 1] + dy
                seen = (x >= 0) & (x < width) & (y >= 0) & (y < height)
                pixels[y[seen], x[seen]] = colour
        return QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_ARGB32).copy()

    def _paint_current(self, painter: QPainter) -> None:
        if 0 <= self._current < len(self._points):
            x, y = self.positions()[self._current]
            painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Text), 2))
            painter.drawEllipse(QPointF(x, y), 7, 7)

    # Mouse and keys ----------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._lasso = [event.position()]
        elif event.button() == Qt.MouseButton.RightButton:
            self._grabbed = event.position()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._lasso:
            self._lasso.append(event.position())
        elif self._grabbed is not None:
            moved, self._grabbed = event.position() - self._grabbed, event.position()
            self._pan(moved)
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        lasso, self._lasso, self._grabbed = self._lasso, [], None
        self.update()
        if not lasso or event.button() != Qt.MouseButton.LeftButton:
            return
        box = QPolygonF(lasso).boundingRect()
        if max(box.width(), box.height()) < SMALLEST_LASSO:
            if (index := self.point_at(event.position())) >= 0:
                self.chosen.emit(index)
            return
        found = inside(self.positions(), [(point.x(), point.y()) for point in lasso])
        self.lassoed.emit(np.flatnonzero(found).tolist() or None)

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._zoom_by(1.2 ** (event.angleDelta().y() / 120))
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Plus | Qt.Key.Key_Equal:
                self._zoom_by(1.5)
            case Qt.Key.Key_Minus:
                self._zoom_by(1 / 1.5)
            case Qt.Key.Key_0:
                self.zoom, self.centre = 1.0, QPointF(0.5, 0.5)
                self.update()
            case Qt.Key.Key_Left | Qt.Key.Key_Right if len(self._points):
                step = 1 if event.key() == Qt.Key.Key_Right else -1
                order = np.argsort(self._points[:, 0], kind="stable").tolist()
                place = order.index(self._current) + step if self._current in order else 0
                self.chosen.emit(order[place % len(order)])
            case Qt.Key.Key_Escape:
                self.lassoed.emit(None)
            case _:
                super().keyPressEvent(event)

    def _zoom_by(self, factor: float) -> None:
        self.zoom = min(max(self.zoom * factor, 1.0), 64.0)
        self._pan(QPointF(0, 0))

    def _pan(self, moved: QPointF) -> None:
        """Move by pixels; the map's border stays in sight."""
        span_x, span_y = max(1, self.width() - 2 * MARGIN), max(1, self.height() - 2 * MARGIN)
        margin = 0.5 / self.zoom
        x = min(max(self.centre.x() - moved.x() / (span_x * self.zoom), margin), 1 - margin)
        y = min(max(self.centre.y() - moved.y() / (span_y * self.zoom), margin), 1 - margin)
        self.centre = QPointF(x, y)
        self.update()
