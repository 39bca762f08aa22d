"""The table of what is wrong with the data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QColor

from core.checking.fixes import Fix
from core.dataset.folders import Problem, Severity
from masktwins_gui import theme
from masktwins_gui.models.tables import TableModel
from masktwins_gui.models.wording import in_titles
from masktwins_gui.plain_text import plain_tip


class ProblemsModel(TableModel[Problem]):
    """One row per problem, errors first: severity, sentence, number of files."""

    def headers(self) -> Sequence[str]:
        return self.tr("Severity"), self.tr("Problem"), self.tr("Files")

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.fixes: dict[int, Fix] = {}  # by the problem's identity

    def set_problems(self, problems: Sequence[Problem]) -> None:
        self.fixes = {}
        self.set_rows(sorted(problems, key=lambda p: p.severity is not Severity.ERROR))

    def set_fixes(self, fixes: Sequence[Fix]) -> None:
        """Show which of the problems can be solved, and how."""
        self.fixes = {id(fix.problem): fix for fix in fixes}
        if self.rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.rows) - 1, self.columnCount() - 1))

    def fix(self, row: int) -> Fix | None:
        return self.fixes.get(id(self.rows[row])) if 0 <= row < len(self.rows) else None

    def num_errors(self) -> int:
        return sum(p.severity is Severity.ERROR for p in self.rows)

    def paths(self, row: int) -> tuple[Path, ...]:
        return self.rows[row].paths

    def cell(self, row: Problem, column: int, role: int) -> Any:
        is_error = row.severity is Severity.ERROR
        match role:
            case Qt.ItemDataRole.DisplayRole:
                word = self.tr("✕ Error") if is_error else self.tr("▲ Warning")
                fix = self.fixes.get(id(row))
                sentence = in_titles(row.message)
                sentence = f"{sentence}\n→ {fix.title}" if fix else sentence
                return (word, sentence, len(row.paths) or "")[column]
            case Qt.ItemDataRole.ForegroundRole if column == 0:
                return QColor(theme.colours().bad if is_error else theme.colours().warn)
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tip(in_titles(row.message))
        return None
