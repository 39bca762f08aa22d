"""What a page with nothing to show says: what to do first, and the demo."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, Signal, SignalInstance
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from masktwins_gui import theme
from masktwins_gui.plain_text import plain_tip


class EmptyState(QWidget):
    """A sentence and up to two buttons in the middle of a page."""

    acted = Signal()  # the page's own first step
    demo_requested = Signal()

    def __init__(
        self,
        icon: str,
        title: str,
        text: str,
        action: str = "",
        *,
        name: str,
        demo: bool = True,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self._icon_name = icon
        self._picture = theme.label("")
        self._picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.title = theme.label(title, "title")
        self.text = theme.label(text, "muted")
        for label in (self.title, self.text):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            label.setWordWrap(True)
        self.text.setFixedWidth(420)  # a wrapped label needs its full width to know its height
        self._buttons = QHBoxLayout()
        if action:
            self.action = self._button(f"{name}.action", action, self.acted)
            self.action.setProperty("role", "primary")
            self.action.setToolTip(plain_tip(text))
        if demo:
            self.demo = self._button(f"{name}.demo", self.tr("Try the demo"), self.demo_requested)
            self.demo.setToolTip(self.tr("Makes a small two-camera dataset and opens a project on it"))
        self._lay_out()
        self._paint_icon()

    def _button(self, name: str, text: str, signal: SignalInstance) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(name)
        button.clicked.connect(signal)
        self._buttons.addWidget(button)
        return button

    def _lay_out(self) -> None:
        words = QHBoxLayout()
        words.addStretch(1)
        words.addWidget(self.text)
        words.addStretch(1)
        self._buttons.insertStretch(0, 1)
        self._buttons.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setSpacing(12)
        layout.addStretch(2)
        layout.addWidget(self._picture)
        layout.addWidget(self.title)
        layout.addLayout(words)
        layout.addLayout(self._buttons)
        layout.addStretch(3)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == event.Type.PaletteChange:
            self._paint_icon()

    def _paint_icon(self) -> None:
        colour = self.palette().color(self.foregroundRole())
        colour.setAlpha(255)
        self._picture.setPixmap(theme.pixmap(self._icon_name, colour, 56))
