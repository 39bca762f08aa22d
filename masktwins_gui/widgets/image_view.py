"""A picture that is zoomed and dragged; views that share a Viewport move together."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QObject, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPalette, QWheelEvent
from PySide6.QtWidgets import QApplication, QSizePolicy, QWidget

MAX_ZOOM = 64.0
CAPTION_HEIGHT = 20


def to_qimage(picture: np.ndarray) -> QImage:
    """RGB uint8 (H, W, 3) as a QImage with memory of its own."""
    data = np.ascontiguousarray(picture)
    height, width = data.shape[:2]
    return QImage(data.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()


class Viewport(QObject):
    """Zoom (1 = the whole picture fits) and the centre in picture coordinates 0..1."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.zoom = 1.0
        self.centre = QPointF(0.5, 0.5)

    def set(self, zoom: float, centre: QPointF) -> None:
        zoom = min(max(zoom, 1.0), MAX_ZOOM)
        margin = 0.5 / zoom
        x = min(max(centre.x(), margin), 1 - margin)
        y = min(max(centre.y(), margin), 1 - margin)
        if zoom != self.zoom or QPointF(x, y) != self.centre:
            self.zoom, self.centre = zoom, QPointF(x, y)
            self.changed.emit()

    def reset(self) -> None:
        self.set(1.0, QPointF(0.5, 0.5))


class ImageView(QWidget):
    """Shows one picture with a caption. Wheel zooms, dragging pans, a double click fits; keys +, −, 0."""

    def __init__(self, caption: str = "", viewport: Viewport | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.caption = caption
        self.viewport = viewport or Viewport(self)
        self.viewport.changed.connect(self.update)
        self.image = QImage()
        self.hint = ""
        self._grabbed: QPointF | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(72, 64)
        self.setAccessibleName(caption)
        self.setToolTip(
            self.tr("The wheel, + and − zoom; drag to move the picture; a double click or 0 shows all of it")
        )

    def sizeHint(self) -> QSize:
        return QSize(240, 180)

    # Content -----------------------------------------------------------------------------------

    def set_picture(self, picture: np.ndarray | None) -> None:
        """Show RGB uint8 (H, W, 3), or nothing."""
        self.image = QImage() if picture is None else to_qimage(picture)
        self.update()

    def set_caption(self, caption: str) -> None:
        self.caption = caption
        self.setAccessibleName(caption)
        self.update()

    def set_hint(self, hint: str) -> None:
        """What stands in an empty view."""
        self.hint = hint
        self.update()

    # Geometry ----------------------------------------------------------------------------------

    def frame(self) -> QRectF:
        """Where pictures are drawn, in widget pixels."""
        top = CAPTION_HEIGHT if self.caption else 0
        return QRectF(0, top, self.width(), max(1, self.height() - top))

    def picture_rect(self) -> QRectF:
        """The whole picture in widget pixels; larger than the frame when zoomed in."""
        frame = self.frame()
        if self.image.isNull():
            return frame
        scale = min(frame.width() / self.image.width(), frame.height() / self.image.height()) * self.viewport.zoom
        width, height = self.image.width() * scale, self.image.height() * scale
        x = frame.center().x() - self.viewport.centre.x() * width
        y = frame.center().y() - self.viewport.centre.y() * height
        return QRectF(x, y, width, height)

    def position_in_picture(self, point: QPointF) -> QPointF:
        """Widget pixels to picture coordinates 0..1."""
        rect = self.picture_rect()
        return QPointF((point.x() - rect.x()) / rect.width(), (point.y() - rect.y()) / rect.height())

    # Painting ----------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        frame = self.frame()
        painter.fillRect(frame, QApplication.palette().color(QPalette.ColorRole.Base))
        if self.caption:
            painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
            box = QRectF(2, 0, self.width() - 4, CAPTION_HEIGHT)
            text = painter.fontMetrics().elidedText(self.caption, Qt.TextElideMode.ElideRight, int(box.width()))
            painter.drawText(box, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)
        painter.setClipRect(frame)
        if self.image.isNull():
            painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(frame.adjusted(8, 4, -8, -4), flags, self.hint or "–")
        else:
            self.paint_picture(painter)
        if self.hasFocus():
            painter.setClipping(False)
            painter.setPen(self.palette().color(QPalette.ColorRole.Highlight))
            painter.drawRect(frame.adjusted(0, 0, -1, -1))

    def paint_picture(self, painter: QPainter) -> None:
        self.draw(painter, self.image)

    def draw(self, painter: QPainter, image: QImage) -> None:
        """Draw one image where the picture is; enlarged pixels stay sharp."""
        target = self.picture_rect()
        shrinking = target.width() < image.width() * 1.5
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, shrinking)
        painter.drawImage(target, image)

    # Mouse and keys ----------------------------------------------------------------------------

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.image.isNull():
            event.ignore()
            return
        self.zoom_at(event.position(), 1.2 ** (event.angleDelta().y() / 120))
        event.accept()

    def zoom_at(self, point: QPointF, factor: float) -> None:
        """Zoom so that what is under the pointer stays there."""
        rect, frame = self.picture_rect(), self.frame()
        under = self.position_in_picture(point)
        zoom = min(max(self.viewport.zoom * factor, 1.0), MAX_ZOOM)
        growth = zoom / self.viewport.zoom
        x = under.x() - (point.x() - frame.center().x()) / (rect.width() * growth)
        y = under.y() - (point.y() - frame.center().y()) / (rect.height() * growth)
        self.viewport.set(zoom, QPointF(x, y))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and not self.image.isNull():
            self._grabbed = event.position()
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
        super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._grabbed is not None:
            rect, moved = self.picture_rect(), event.position() - self._grabbed
            self._grabbed = event.position()
            centre = self.viewport.centre
            self.viewport.set(
                self.viewport.zoom,
                QPointF(centre.x() - moved.x() / rect.width(), centre.y() - moved.y() / rect.height()),
            )
        super().mouseMoveEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._grabbed = None
        self.unsetCursor()
        super().mouseReleaseEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.viewport.reset()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Plus | Qt.Key.Key_Equal:
                self.zoom_at(self.frame().center(), 1.5)
            case Qt.Key.Key_Minus:
                self.zoom_at(self.frame().center(), 1 / 1.5)
            case Qt.Key.Key_0:
                self.viewport.reset()
            case _:
                super().keyPressEvent(event)


class SwipeView(ImageView):
    """Two pictures on top of each other, divided by a line that follows the drag of its handle."""

    def __init__(self, viewport: Viewport | None = None, parent: QWidget | None = None) -> None:
        super().__init__("", viewport, parent)
        self.other = QImage()
        self.position = 0.5
        self._swiping = False
        self.setMouseTracking(True)

    def set_pictures(self, left: np.ndarray | None, right: np.ndarray | None) -> None:
        self.other = QImage() if right is None else to_qimage(right)
        self.set_picture(left)

    def set_position(self, position: float) -> None:
        """Share of the width that shows the left picture, 0..1."""
        self.position = min(max(position, 0.0), 1.0)
        self.update()

    def paint_picture(self, painter: QPainter) -> None:
        line = self.width() * self.position
        frame = self.frame()
        self.draw(painter, self.image)
        painter.setClipRect(QRectF(line, frame.top(), self.width() - line, frame.height()))
        self.draw(painter, self.other)
        painter.setClipRect(frame)
        painter.fillRect(QRectF(line - 1, frame.top(), 2, frame.height()), QColor("white"))
        handle = QRectF(line - 9, frame.center().y() - 14, 18, 28)
        painter.setBrush(QColor("white"))
        painter.setPen(QColor("#333333"))
        painter.drawRoundedRect(handle, 5, 5)
        painter.drawText(handle, Qt.AlignmentFlag.AlignCenter, "‹›")

    def _near(self, point: QPointF) -> bool:
        return abs(point.x() - self.width() * self.position) < 12

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self._near(event.position()):
            self._swiping = True
        else:
            super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._swiping:
            self.set_position(event.position().x() / max(1, self.width()))
            return
        super().mouseMoveEvent(event)
        if not event.buttons():
            self.setCursor(Qt.CursorShape.SplitHCursor if self._near(event.position()) else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._swiping = False
        super().mouseReleaseEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_BracketLeft:
                self.set_position(self.position - 0.05)
            case Qt.Key.Key_BracketRight:
                self.set_position(self.position + 0.05)
            case _:
                super().keyPressEvent(event)
