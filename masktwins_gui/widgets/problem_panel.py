"""What is wrong with the data: the list, the files of a problem, the fix where one is certain, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QHeaderView, QVBoxLayout, QWidget

from core.checking.fixes import Fix
from core.dataset.problems import Problem, Severity
from masktwins_gui import theme
from masktwins_gui.models.problems import ProblemsModel
from masktwins_gui.plain_text import plain_tip
from masktwins_gui.widgets.controls import push_button
from masktwins_gui.widgets.file_list import FileListDialog
from masktwins_gui.widgets.tables import plain_table

LEAST_HEIGHT = 110  # px of the table


class ProblemPanel(QWidget):
    """`fix_chosen` carries the Fix of the problem that is selected."""

    fix_chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = ProblemsModel(self)
        self.table = plain_table("data.problems", self.tr("Problems"))
        self.table.setModel(self.model)
        self.table.setMinimumHeight(LEAST_HEIGHT)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        tip = self.tr("List the files that the chosen problem concerns")
        self.files = push_button("data.show_files", self.tr("Show files …"), tip)
        self.fix = push_button("data.fix", self.tr("Fix"), self.tr("Solve the chosen problem"), primary=True)
        self.verdict = theme.label("", "muted")
        self.verdict.setWordWrap(True)
        self._fixable = True
        row = QHBoxLayout()
        row.addWidget(self.verdict, 1)
        row.addWidget(self.fix)
        row.addWidget(self.files)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table, 1)
        layout.addLayout(row)

        self.files.clicked.connect(self._show_files)
        self.fix.clicked.connect(self._fix)
        self.table.doubleClicked.connect(self._show_files)
        self.table.selectionModel().currentChanged.connect(self._update)
        self._update()

    def set_problems(self, problems: Sequence[Problem]) -> None:
        self.model.set_problems(problems)
        self._update()

    def set_fixes(self, fixes: Sequence[Fix]) -> None:
        """Offer the fixes of problems that are shown; the first of these is selected, unless the user has selected one."""
        self.model.set_fixes(fixes)
        rows = [row for row in range(self.model.rowCount()) if self.model.fix(row) is not None]
        if rows and not self.table.currentIndex().isValid():
            self.table.selectRow(rows[0])
        self._update()

    def set_fixable(self, fixable: bool) -> None:
        """A run keeps the data that it was started with."""
        self._fixable = fixable
        self._update()

    def say(self, text: str, role: str, details: str = "") -> None:
        """Sum the state of the data up in a sentence."""
        self.verdict.setText(text)
        self.verdict.setToolTip(plain_tip(details))
        theme.set_role(self.verdict, role)

    def _row(self) -> int:
        return self.table.currentIndex().row()

    def _update(self, *_: object) -> None:
        row = self._row()
        fix = self.model.fix(row)
        self.files.setEnabled(0 <= row < self.model.rowCount() and bool(self.model.paths(row)))
        self.fix.setVisible(bool(self.model.fixes))
        self.fix.setEnabled(fix is not None and self._fixable)
        tip = self.tr("{0}. Your files stay as they are; Undo takes it back.")
        self.fix.setToolTip(
            plain_tip(tip.format(fix.title)) if fix else self.tr("Choose a problem that has an arrow →")
        )

    def _show_files(self, *_: object) -> None:
        row = self._row()
        if row >= 0 and self.model.paths(row):
            problem = self.model.rows[row]
            is_error = problem.severity is Severity.ERROR
            FileListDialog(problem.message, problem.paths, is_error=is_error, parent=self).open()

    def _fix(self) -> None:
        if (fix := self.model.fix(self._row())) is not None:
            self.fix_chosen.emit(fix)
