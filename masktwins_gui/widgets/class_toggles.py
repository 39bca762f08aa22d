"""The classes with their colours; each can be taken out of the picture."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap, QResizeEvent
from PySide6.QtWidgets import QScrollArea, QToolButton, QWidget

from masktwins_gui.widgets.controls import describe
from masktwins_gui.widgets.flow import FlowLayout

Colour = tuple[int, int, int]
SWATCH = 12
MOST_ROWS = 3


class ClassToggles(QScrollArea):
    """A button per class, named and coloured; up to three rows, and a scroll bar beyond."""

    hidden_changed = Signal(object)  # frozenset of the ids that are not shown

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        describe(self, "inspect.classes", self.tr("Classes"), self.tr("Click a class to hide or show its pixels"))
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.buttons: list[QToolButton] = []
        self._names: tuple[str, ...] = ()
        self._palette: tuple[Colour, ...] = ()
        self._content = QWidget()
        self._flow = FlowLayout(self._content, spacing=2)
        self.setWidget(self._content)
        self.hide()

    def set_classes(self, names: Sequence[str], palette: Sequence[Colour]) -> None:
        """Show these classes, all of them visible; nothing happens where they are shown already."""
        if (tuple(names), tuple(palette)) == (self._names, self._palette):
            return
        self._names, self._palette = tuple(names), tuple(palette)
        for button in self.buttons:
            self._flow.removeWidget(button)
            button.deleteLater()
        self.buttons = [self._make(name, colour) for name, colour in zip(names, palette, strict=True)]
        for button in self.buttons:
            self._flow.addWidget(button)
        self.setVisible(bool(self.buttons))
        self._fit()

    @property
    def hidden(self) -> frozenset[int]:
        return frozenset(index for index, button in enumerate(self.buttons) if not button.isChecked())

    def _make(self, name: str, colour: Colour) -> QToolButton:
        button = QToolButton()
        describe(button, f"inspect.class.{name}", name, self.tr("Hide or show the pixels of {0}").format(name))
        button.setText(name.replace("&", "&&"))
        button.setIcon(_swatch(colour))
        button.setIconSize(QSize(SWATCH, SWATCH))
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setCheckable(True)
        button.setChecked(True)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        button.setProperty("role", "class")
        button.toggled.connect(lambda: self.hidden_changed.emit(self.hidden))
        return button

    def _fit(self) -> None:
        """Be as high as the rows need."""
        width = max(1, self.viewport().width())
        row = max((button.sizeHint().height() for button in self.buttons), default=0) + 2
        self.setFixedHeight(min(self._flow.heightForWidth(width), MOST_ROWS * row) + 2 * self.frameWidth())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()


def _swatch(colour: Colour) -> QIcon:
    """A filled square for a class that is shown, an empty one for a hidden class."""
    icon = QIcon()
    for state, filled in ((QIcon.State.On, True), (QIcon.State.Off, False)):
        picture = QPixmap(2 * SWATCH, 2 * SWATCH)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        painter.setPen(QColor(*colour))
        if filled:
            painter.fillRect(picture.rect(), QColor(*colour))
        else:
            painter.drawRect(picture.rect().adjusted(1, 1, -2, -2))
        painter.end()
        icon.addPixmap(picture, QIcon.Mode.Normal, state)
    return icon
