"""The classes with their colours, in a row that wraps."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

from core.labels import LabelSpace

Colour = tuple[int, int, int]


class ClassLegend(QLabel):
    """Colour is never alone: each swatch carries its name."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setAccessibleName(self.tr("Classes"))

    def set_space(self, space: LabelSpace | None) -> None:
        self.set_classes(space.classes, space.palette) if space else self.set_classes((), ())

    def set_classes(self, names: Sequence[str], palette: Sequence[Colour]) -> None:
        swatches = [
            f'<span style="color:rgb({r},{g},{b})">■</span>&nbsp;{escape(name).replace(" ", "&nbsp;")}'
            for name, (r, g, b) in zip(names, palette, strict=True)
        ]
        self.setText(" &nbsp; ".join(swatches))
        self.setVisible(bool(swatches))
