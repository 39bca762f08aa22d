"""One canvas for two models at the same pixels: one of them, both by turns, both divided by a line, or what changes."""

from __future__ import annotations

from enum import StrEnum

from PySide6.QtCore import QPointF, QRectF, Qt, QTimer
from PySide6.QtGui import QColor, QHideEvent, QImage, QKeyEvent, QMouseEvent, QPainter, QShowEvent
from PySide6.QtWidgets import QWidget

from masktwins_gui.widgets.image_view import ImageView, Viewport

HANDLE_REACH = 12  # pixels beside the line in which it is grabbed
SWIPE_STEP = 0.05


class Mode(StrEnum):
    """How the canvas shows two models."""

    SIDE_BY_SIDE = "side_by_side"  # in views of their own
    ONE = "one"
    BLINK = "blink"
    SWIPE = "swipe"
    DELTA = "delta"


class CompareCanvas(ImageView):
    """Shows model A or B over the photo, as the mode says; in ONE and DELTA `flipped` shows A in place of B."""

    def __init__(self, viewport: Viewport | None = None, parent: QWidget | None = None) -> None:
        super().__init__("", viewport, parent)
        self.mode = Mode.ONE
        self.flipped = False
        self.position = 0.5  # share of the width that shows A while swiping
        self.overlays = (QImage(), QImage())
        self.delta = QImage()
        self._titles = ("A", "B")
        self._delta_caption = ""
        self._swiping = False
        self._blink = QTimer(self)
        self._blink.setInterval(500)
        self._blink.timeout.connect(self._turn)

    # Content -----------------------------------------------------------------------------------

    def set_overlays(self, first: QImage, second: QImage, opacity: float) -> None:
        self.overlays, self.opacity = (first, second), opacity
        self.update()

    def set_delta(self, delta: QImage, caption: str) -> None:
        """Show what changes; the caption explains its colours and patterns."""
        self.delta, self._delta_caption = delta, caption
        self._say()

    def set_titles(self, first: str, second: str) -> None:
        self._titles = first, second
        self._say()

    def set_mode(self, mode: Mode) -> None:
        self.mode, self.flipped = mode, False
        self._run_timer()
        self._say()

    def set_flipped(self, flipped: bool) -> None:
        """Show the other model."""
        self.flipped = flipped
        self._say()

    def set_blinks_per_second(self, rate: float) -> None:
        self._blink.setInterval(round(1000 / rate))

    def set_position(self, position: float) -> None:
        """Share of the width that shows A, 0..1."""
        self.position = min(max(position, 0.0), 1.0)
        self.update()

    @property
    def shows_first(self) -> bool:
        """Whether it is A that shows, in the modes that show one of them."""
        return self.flipped

    def _turn(self) -> None:
        self.set_flipped(not self.flipped)

    def _run_timer(self) -> None:
        if self.mode is Mode.BLINK and self.isVisible():
            self._blink.start()
        else:
            self._blink.stop()

    def _say(self) -> None:
        first, second = f"A · {self._titles[0]}", f"B · {self._titles[1]}"
        match self.mode:
            case Mode.SWIPE:
                self.set_caption(f"{second}   ‹›   {first}" if self.flipped else f"{first}   ‹›   {second}")
            case Mode.DELTA if not self.flipped:
                self.set_caption(self._delta_caption or self.tr("Changes from {0} to {1}").format(first, second))
            case _:
                self.set_caption(first if self.flipped else second)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._run_timer()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._blink.stop()

    # Painting ----------------------------------------------------------------------------------

    def paint_picture(self, painter: QPainter) -> None:
        first, second = self.overlays
        if self.mode is Mode.SWIPE:
            left, right = (second, first) if self.flipped else (first, second)
            self._paint_divided(painter, left, right)
        elif self.mode is Mode.DELTA and not self.flipped and not self.delta.isNull():
            self.draw(painter, self.delta)
        else:
            self.draw(painter, self.image)
            self.draw(painter, first if self.flipped else second, self.opacity)

    def _paint_divided(self, painter: QPainter, left: QImage, right: QImage) -> None:
        frame, line = self.frame(), self.width() * self.position
        self.draw(painter, self.image)
        for overlay, x, width in ((left, 0.0, line), (right, line, self.width() - line)):
            painter.setClipRect(QRectF(x, frame.top(), width, frame.height()))
            self.draw(painter, overlay, self.opacity)
        painter.setClipRect(frame)
        painter.fillRect(QRectF(line - 1, frame.top(), 2, frame.height()), QColor("white"))
        handle = QRectF(line - 9, frame.center().y() - 14, 18, 28)
        painter.setBrush(QColor("white"))
        painter.setPen(QColor("#333333"))
        painter.drawRoundedRect(handle, 5, 5)
        painter.drawText(handle, Qt.AlignmentFlag.AlignCenter, "‹›")

    # Mouse and keys ----------------------------------------------------------------------------

    def _near(self, point: QPointF) -> bool:
        return self.mode is Mode.SWIPE and abs(point.x() - self.width() * self.position) < HANDLE_REACH

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
                self.set_position(self.position - SWIPE_STEP)
            case Qt.Key.Key_BracketRight:
                self.set_position(self.position + SWIPE_STEP)
            case _:
                super().keyPressEvent(event)
