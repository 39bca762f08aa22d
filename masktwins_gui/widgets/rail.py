"""The left rail: the five pages with their states, the device, theme and settings."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from masktwins_gui import theme
from masktwins_gui.models.states import PageState
from masktwins_gui.plain_text import plain_tip
from masktwins_gui.widgets.controls import tool_button

BADGES = {PageState.ATTENTION: ("!", "warn"), PageState.DONE: ("✓", "good"), PageState.RUNNING: ("●", "info")}


class RailButton(QToolButton):
    """A page's entry with a badge for its state."""

    def __init__(self, name: str, title: str, shortcut: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title, self.state, self.count = title, PageState.EMPTY, 0
        self.setObjectName(f"rail.{name}")
        self.setProperty("role", "page")
        self.setText(f" {title}")
        self.setCheckable(True)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setIconSize(QSize(20, 20))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(42)
        self.setShortcut(shortcut)
        theme.set_icon(self, name)
        self.set_state(PageState.EMPTY)

    def set_state(self, state: PageState, count: int = 0) -> None:
        self.state, self.count = state, count
        words = {
            PageState.EMPTY: self.tr("nothing here yet"),
            PageState.ATTENTION: self.tr("needs attention: {0}").format(count) if count else self.tr("needs attention"),
            PageState.READY: self.tr("ready"),
            PageState.DONE: self.tr("done"),
            PageState.RUNNING: self.tr("running"),
        }
        self.setAccessibleName(f"{self.title}: {words[state]}")
        self.setToolTip(plain_tip(f"{self.title} ({self.shortcut().toString()}) – {words[state]}"))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        text, kind = BADGES.get(self.state, ("", ""))
        if self.count and self.state is PageState.ATTENTION:
            text = str(self.count) if self.count < 100 else "99+"
        if not text:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        width = max(20, painter.fontMetrics().horizontalAdvance(text) + 10)
        box = QRectF(self.width() - width - 8, self.height() / 2 - 10, width, 20)
        colours = theme.colours()
        painter.setBrush(QColor(getattr(colours, kind)))
        painter.setPen(Qt.PenStyle.NoPen)
        if self.state is PageState.RUNNING:
            painter.drawEllipse(box.center(), 5, 5)
            return
        painter.drawRoundedRect(box, 10, 10)
        painter.setPen(QColor(colours.window))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)


class Rail(QFrame):
    """Chooses the page. `page_chosen` carries its index."""

    page_chosen = Signal(int)
    theme_toggled = Signal()

    def __init__(self, pages: Sequence[tuple[str, str]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "rail")
        self.setFixedWidth(168)
        self._group = QButtonGroup(self)
        self.buttons: dict[str, RailButton] = {}
        for number, (name, title) in enumerate(pages):
            button = RailButton(name, title, f"Ctrl+{number + 1}")
            self._group.addButton(button, number)
            self.buttons[name] = button
        self.device = tool_button("rail.device", "device", self.tr("Device"))
        self.device.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.device.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.theme_button = tool_button("rail.theme", "sun", self.tr("Switch between the dark and the light theme"))
        self.settings_button = tool_button("rail.settings", "settings", self.tr("Settings"))
        self._lay_out()
        self._group.idClicked.connect(self.page_chosen)
        self.theme_button.clicked.connect(self.theme_toggled)
        self.set_device("", self.tr("Looking for a device …"))

    def _lay_out(self) -> None:
        brand = theme.label("MaskTwins", "title")
        brand.setContentsMargins(8, 4, 0, 10)
        bottom = QHBoxLayout()
        bottom.addWidget(self.theme_button)
        bottom.addWidget(self.settings_button)
        bottom.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 12, 8, 8)
        layout.setSpacing(4)
        layout.addWidget(brand)
        for button in self.buttons.values():
            layout.addWidget(button)
        layout.addStretch(1)
        layout.addWidget(self.device)
        layout.addLayout(bottom)

    def set_current(self, index: int) -> None:
        self._group.button(index).setChecked(True)

    def set_device(self, device: str, reason: str) -> None:
        """The chip: what runs, and why."""
        self.device.setText(device.upper() if device else self.tr("Device …"))
        self.device.setToolTip(plain_tip(f"{device}: {reason}" if device else reason))
        self.device.setAccessibleName(self.tr("Device {0}: {1}").format(device, reason))
