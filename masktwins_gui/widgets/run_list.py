"""How a run looks in the list: name and scores, state and time, and what differs from the run before."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QFont, QPainter, QPalette
from PySide6.QtWidgets import QApplication, QLineEdit, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from masktwins_gui.models.runs import RunInfo, RunsModel

Index = QModelIndex | QPersistentModelIndex
LINES = 3
PADDING = 5  # px


class RunDelegate(QStyledItemDelegate):
    """Draws three lines, the last only where something differs. The whole text is in the tool tip."""

    def __init__(self, runs: RunsModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._runs = runs

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        height = option.fontMetrics.lineSpacing()  # pyright: ignore[reportAttributeAccessIssue] - Qt's struct
        return QSize(200, LINES * height + 2 * PADDING)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        self.initStyleOption(option, index)
        run: RunInfo = index.data(RunsModel.InfoRole)
        option.text = ""  # pyright: ignore[reportAttributeAccessIssue]
        widget: QWidget = option.widget  # pyright: ignore[reportAttributeAccessIssue]
        style = widget.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, widget)
        area = style.subElementRect(QStyle.SubElement.SE_ItemViewItemText, option, widget)
        area.adjust(2, PADDING, -4, -PADDING)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)  # pyright: ignore[reportAttributeAccessIssue]
        self._write(painter, area, run, QApplication.palette(), selected=selected)  # the style sheet's own is paler

    def _write(self, painter: QPainter, area: QRect, run: RunInfo, palette: QPalette, *, selected: bool) -> None:
        strong = palette.color(QPalette.ColorRole.HighlightedText if selected else QPalette.ColorRole.Text)
        muted = strong if selected else palette.color(QPalette.ColorRole.PlaceholderText)
        line = QRect(area.left(), area.top(), area.width(), area.height() // LINES)
        painter.save()
        font = QFont(painter.font())
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(strong)
        scores = run.outcome.in_words()
        width = painter.fontMetrics().horizontalAdvance(scores)
        _elided(painter, line.adjusted(0, 0, -width - 8, 0), run.title)
        painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, scores)
        font.setBold(False)
        painter.setFont(font)
        painter.setPen(muted)
        below = (f"{self._runs.state_text(run)} · {self._runs.when_text(run)}", run.changed or self._first_words(run))
        for text in below:
            line.translate(0, line.height())
            _elided(painter, line, text)
        painter.restore()

    def _first_words(self, run: RunInfo) -> str:
        oldest = min(self._runs.runs, key=lambda other: other.created)
        return self.tr("first run") if run == oldest else self.tr("same settings as the run before")

    def updateEditorGeometry(self, editor: QWidget, option: QStyleOptionViewItem, index: Index) -> None:
        rect: QRect = option.rect  # pyright: ignore[reportAttributeAccessIssue]
        editor.setGeometry(rect.adjusted(22, 1, 0, 0).adjusted(0, 0, 0, -rect.height() + editor.sizeHint().height()))

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        if isinstance(editor, QLineEdit):
            editor.setText(index.data(RunsModel.InfoRole).title)
            editor.setMaxLength(80)


def _elided(painter: QPainter, line: QRect, text: str) -> None:
    shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, line.width())
    painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)
