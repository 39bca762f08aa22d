"""A picture that is zoomed and dragged; views that share a Viewport move together."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen, QWheelEvent
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
    """Shows a picture, and over it another in an opacity, under a caption.

    Wheel zooms, dragging pans, a double click fits; keys +, −, 0. Both layers are scaled as they are painted, so that what
    painting costs depends on the size of the view alone.
    """

    hovered = Signal(object)  # QPoint, the pixel of the picture under the pointer; None when it leaves

    def __init__(self, caption: str = "", viewport: Viewport | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.caption = caption
        self.viewport = viewport or Viewport(self)
        self.viewport.changed.connect(self.update)
        self.image = QImage()
        self.overlay = QImage()
        self.opacity = 1.0  # of the overlay
        self.marked = QRectF()  # a rectangle in pixels of the picture
        self.hint = ""
        self._grabbed: QPointF | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
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
        self.set_image(QImage() if picture is None else to_qimage(picture))

    def set_image(self, image: QImage) -> None:
        """Show an image; one without pixels shows the hint."""
        self.image = image
        self.update()

    def set_overlay(self, overlay: QImage, opacity: float) -> None:
        """Lay an image over the other, stretched to its size; one without pixels lays nothing."""
        self.overlay, self.opacity = overlay, opacity
        self.update()

    def set_marked(self, rectangle: QRectF) -> None:
        """Outline a rectangle, in pixels of the picture; an empty one outlines nothing."""
        self.marked = rectangle
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

    def pixel_at(self, point: QPointF) -> QPoint | None:
        """The pixel of the picture under a point of the widget; None beside the picture."""
        position = self.position_in_picture(point)
        if self.image.isNull() or not (0 <= position.x() < 1 and 0 <= position.y() < 1):
            return None
        return QPoint(int(position.x() * self.image.width()), int(position.y() * self.image.height()))

    def show_rectangle(self, rectangle: QRectF) -> None:
        """Zoom so that a rectangle in pixels of the picture takes about a third of the view, and outline it."""
        if self.image.isNull():
            return
        width, height = self.image.width(), self.image.height()
        share = max(rectangle.width() / width, rectangle.height() / height, 1 / MAX_ZOOM)
        centre = rectangle.center()
        self.viewport.set(0.33 / share, QPointF(centre.x() / width, centre.y() / height))
        self.set_marked(rectangle)

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
            painter.save()  # a brush that a subclass leaves behind would fill the frame below
            self.paint_picture(painter)
            painter.restore()
            self._paint_mark(painter)
        if self.hasFocus():
            painter.setClipping(False)
            painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Highlight), 2))
            painter.drawRect(frame.adjusted(1, 1, -1, -1))

    def _paint_mark(self, painter: QPainter) -> None:
        if self.marked.isEmpty():
            return
        rect = self.picture_rect()
        scale = rect.width() / self.image.width()
        box = QRectF(
            rect.x() + self.marked.x() * scale,
            rect.y() + self.marked.y() * scale,
            self.marked.width() * scale,
            self.marked.height() * scale,
        ).adjusted(-3, -3, 3, 3)
        for colour, width in ((QColor("black"), 4), (QColor("white"), 2)):  # seen on every ground
            painter.setPen(QPen(colour, width))
            painter.drawRect(box)

    def paint_picture(self, painter: QPainter) -> None:
        self.draw(painter, self.image)
        self.draw(painter, self.overlay, self.opacity)

    def draw(self, painter: QPainter, image: QImage, opacity: float = 1.0) -> None:
        """Draw one image where the picture is; enlarged pixels stay sharp."""
        if image.isNull() or opacity <= 0:
            return
        target = self.picture_rect()
        shrinking = target.width() < image.width() * 1.5
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, shrinking)
        painter.setOpacity(opacity)
        painter.drawImage(target, image)
        painter.setOpacity(1.0)

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
        self.hovered.emit(self.pixel_at(event.position()))
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

    def leaveEvent(self, event: QEvent) -> None:
        self.hovered.emit(None)
        super().leaveEvent(event)

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
