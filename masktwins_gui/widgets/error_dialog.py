"""An error: what happened, what to do, and the details to copy."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QPlainTextEdit, QVBoxLayout, QWidget

from masktwins_gui import theme
from masktwins_gui.widgets.controls import describe, fold_button, push_button


class ErrorDialog(QDialog):
    """Opened without blocking; deletes itself when closed."""

    def __init__(self, title: str, message: str, advice: str, details: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("error")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        self.setMinimumWidth(520)
        self._text = f"{title}\n{message}\n{advice}\n\n{details}"
        heading = theme.label(title, "title")
        self.message = theme.label(message)
        self.message.setObjectName("error.message")
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        hint = theme.label(advice, "muted")
        for label in (heading, self.message, hint):
            label.setWordWrap(True)
        self.more = fold_button("error.more", self.tr("Details"), self.tr("Show what the program was doing"))
        self.details = QPlainTextEdit(details)
        describe(self.details, "error.details", self.tr("Details"), self.tr("What the program was doing; for a report"))
        self.details.setReadOnly(True)
        self.details.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.details.setMinimumHeight(180)
        self.details.hide()
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.copy = push_button(
            "error.copy", self.tr("Copy everything"), self.tr("Copy the message and the details to the clipboard")
        )
        buttons.addButton(self.copy, QDialogButtonBox.ButtonRole.ActionRole)
        layout = QVBoxLayout(self)
        layout.setSpacing(10)
        for widget in (heading, self.message, hint, self.more, self.details, buttons):
            layout.addWidget(widget)
        self.more.setVisible(bool(details))

        self.more.toggled.connect(self._unfold)
        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self._text))
        buttons.rejected.connect(self.reject)

    def _unfold(self, opened: bool) -> None:
        self.details.setVisible(opened)
        self.adjustSize()
