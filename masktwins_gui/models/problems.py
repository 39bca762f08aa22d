"""The table of what is wrong with the data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from core.dataset.folders import Problem, Severity
from masktwins_gui import theme
from masktwins_gui.models.tables import TableModel
from masktwins_gui.plain_text import plain_tip


class ProblemsModel(TableModel[Problem]):
    """One row per problem, errors first: severity, sentence, number of files."""

    def headers(self) -> Sequence[str]:
        return self.tr("Severity"), self.tr("Problem"), self.tr("Files")

    def set_problems(self, problems: Sequence[Problem]) -> None:
        self.set_rows(sorted(problems, key=lambda p: p.severity is not Severity.ERROR))

    def num_errors(self) -> int:
        return sum(p.severity is Severity.ERROR for p in self.rows)

    def paths(self, row: int) -> tuple[Path, ...]:
        return self.rows[row].paths

    def cell(self, row: Problem, column: int, role: int) -> Any:
        is_error = row.severity is Severity.ERROR
        match role:
            case Qt.ItemDataRole.DisplayRole:
                word = self.tr("✕ Error") if is_error else self.tr("▲ Warning")
                return (word, row.message, len(row.paths) or "")[column]
            case Qt.ItemDataRole.ForegroundRole if column == 0:
                return QColor(theme.colours().bad if is_error else theme.colours().warn)
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tip(row.message)
        return None
