"""What a page shows while something is under way that has no end in sight yet."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from masktwins_gui import theme
from masktwins_gui.widgets.controls import describe

WIDTH = 240  # px of the bar


class BusyState(QWidget):
    """A sentence over a moving bar, in the middle."""

    def __init__(self, text: str, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        bar = QProgressBar()
        describe(bar, name, text)
        bar.setRange(0, 0)
        bar.setTextVisible(False)
        bar.setFixedWidth(WIDTH)
        column = QVBoxLayout(self)
        column.addStretch(1)
        for shown in (theme.label(text, "title"), bar):
            column.addWidget(shown, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(1)
