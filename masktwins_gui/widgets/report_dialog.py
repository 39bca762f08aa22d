"""The text of a report, to be read, shortened, copied or saved. Nothing is sent."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QFileDialog, QPlainTextEdit, QVBoxLayout, QWidget

from core.errors import reason
from masktwins_gui import theme
from masktwins_gui.widgets.controls import describe, push_button


class ReportDialog(QDialog):
    """Shows a text that the user may change before it is copied or saved."""

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("report")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Report a problem"))
        self.resize(760, 520)
        self.hint = theme.label(
            self.tr(
                "This text helps to find out what went wrong. Read it first, and remove what nobody should see. "
                "The program sends nothing: copy the text, or save it to a file, and send it yourself."
            )
        )
        self.hint.setWordWrap(True)
        self.text = QPlainTextEdit(text)
        describe(self.text, "report.text", self.tr("Text of the report"), self.tr("You can change the text"))
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setTabChangesFocus(True)
        self.save = push_button("report.save", self.tr("Save as …"), self.tr("Write the text to a file"), primary=True)
        self.copy = push_button("report.copy", self.tr("Copy"), self.tr("Copy the text to the clipboard"))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.addButton(self.save, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.addButton(self.copy, QDialogButtonBox.ButtonRole.ActionRole)
        layout = QVBoxLayout(self)
        for widget in (self.hint, self.text, buttons):
            layout.addWidget(widget)

        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.text.toPlainText()))
        self.save.clicked.connect(self._save)
        buttons.rejected.connect(self.reject)

    def _save(self) -> None:
        suggested = str(Path.home() / "masktwins-report.txt")
        path, _ = QFileDialog.getSaveFileName(self, self.tr("Save the report"), suggested, self.tr("Text (*.txt)"))
        if not path:
            return
        try:
            Path(path).write_text(self.text.toPlainText(), encoding="utf-8")
        except OSError as error:
            self.hint.setText(self.tr("{0} cannot be written: {1}. Choose another folder.").format(path, reason(error)))
            theme.set_role(self.hint, "error")
        else:
            self.hint.setText(self.tr("Saved as {0}").format(path))
            theme.set_role(self.hint, "good")
