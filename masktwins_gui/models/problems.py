"""The table of what is wrong with the data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor

from core.dataset.folders import Problem, Severity
from masktwins_gui import theme
from masktwins_gui.plain_text import plain_tip

Index = QModelIndex | QPersistentModelIndex


class ProblemsModel(QAbstractTableModel):
    """One row per problem, errors first: severity, sentence, number of files."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.problems: tuple[Problem, ...] = ()
        self._headers = (self.tr("Severity"), self.tr("Problem"), self.tr("Files"))

    def set_problems(self, problems: Sequence[Problem]) -> None:
        self.beginResetModel()
        self.problems = tuple(sorted(problems, key=lambda p: p.severity is not Severity.ERROR))
        self.endResetModel()

    def num_errors(self) -> int:
        return sum(p.severity is Severity.ERROR for p in self.problems)

    def paths(self, row: int) -> tuple[Path, ...]:
        return self.problems[row].paths

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.problems)

    def columnCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._headers)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self._headers[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        problem = self.problems[index.row()]
        is_error = problem.severity is Severity.ERROR
        match role:
            case Qt.ItemDataRole.DisplayRole:
                word = self.tr("✕ Error") if is_error else self.tr("▲ Warning")
                return (word, problem.message, len(problem.paths) or "")[index.column()]
            case Qt.ItemDataRole.ForegroundRole if index.column() == 0:
                return QColor(theme.BAD if is_error else theme.WARN)
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tip(problem.message)
        return None
