"""The files that a problem concerns, with a way to their folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QListWidget, QPushButton, QVBoxLayout, QWidget

from masktwins_gui import theme

SHOWN = 5000


class FileListDialog(QDialog):
    """Lists paths; a double click opens the file's folder."""

    def __init__(self, sentence: str, paths: Sequence[Path], *, is_error: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("files")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("{0} files").format(len(paths)))
        self.resize(640, 420)
        self._paths = list(paths)
        heading = theme.label(sentence, "error" if is_error else "warn")
        heading.setWordWrap(True)
        self.list = QListWidget()
        self.list.setObjectName("files.list")
        self.list.addItems([str(path) for path in self._paths[:SHOWN]])
        if len(self._paths) > SHOWN:
            self.list.addItem(self.tr("… and {0} more").format(len(self._paths) - SHOWN))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        copy = QPushButton(self.tr("Copy the list"))
        copy.setObjectName("files.copy")
        buttons.addButton(copy, QDialogButtonBox.ButtonRole.ActionRole)
        layout = QVBoxLayout(self)
        layout.addWidget(heading)
        layout.addWidget(self.list)
        layout.addWidget(buttons)

        buttons.rejected.connect(self.reject)
        copy.clicked.connect(self._copy)
        self.list.itemActivated.connect(self._open)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText("\n".join(map(str, self._paths)))

    def _open(self) -> None:
        row = self.list.currentRow()
        if row < len(self._paths):
            path = self._paths[row]
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(path if path.is_dir() else path.parent)))
