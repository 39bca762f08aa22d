"""A folder: typed, chosen in a dialog, or dropped."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, QObject, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from masktwins_gui import theme
from masktwins_gui.plain_text import plain_tip
from masktwins_gui.widgets.controls import tool_button, undoes_the_project


def dropped_folders(event: QDropEvent | QDragEnterEvent) -> list[Path]:
    """Folders among what is dragged; a file stands for its folder."""
    paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
    return [path if path.is_dir() else path.parent for path in paths]


class FolderField(QWidget):
    """A title, a line to type in, a Browse button and a note below. `chosen` is sent when the user sets a folder."""

    chosen = Signal(object)  # Path | None

    def __init__(self, title: str, description: str, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setAcceptDrops(True)
        self.setToolTip(plain_tip(description))
        self._path: Path | None = None
        self._title = title

        self.line = QLineEdit()
        self.line.setObjectName(f"{name}.path")
        self.line.setAccessibleName(title)
        self.line.setPlaceholderText(self.tr("Drop a folder here, or browse"))
        self.line.setAcceptDrops(False)  # drops go to the whole field
        self.line.setClearButtonEnabled(True)
        self.browse = tool_button(f"{name}.browse", "folder", self.tr("Choose the folder in a dialog"))
        self.browse.setAccessibleName(self.tr("Browse for {0}").format(title))
        self.heading = theme.label(title, "heading")
        self.note = theme.label("", "muted")

        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.line, 1)
        row.addWidget(self.browse)
        top = QHBoxLayout()
        top.addWidget(self.heading)
        top.addStretch(1)
        top.addWidget(self.note)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(top)
        layout.addLayout(row)

        self.line.installEventFilter(self)
        self.line.editingFinished.connect(self._typed)
        self.browse.clicked.connect(self._ask)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        return undoes_the_project(watched, event) or super().eventFilter(watched, event)

    @property
    def path(self) -> Path | None:
        return self._path

    def set_path(self, path: Path | None) -> None:
        """Show a path without telling anyone."""
        self._path = path
        self.line.setText("" if path is None else str(path))
        if not self.line.hasFocus():
            self.line.setCursorPosition(len(self.line.text()))

    def set_note(self, text: str, role: str = "muted") -> None:
        self.note.setText(text)
        theme.set_role(self.note, role)

    def _choose(self, path: Path | None) -> None:
        if path != self._path:
            self.set_path(path)
            self.chosen.emit(path)

    def _typed(self) -> None:
        text = self.line.text().strip()
        self._choose(Path(text).expanduser() if text else None)

    def _ask(self) -> None:
        start = str(self._path or Path.home())
        folder = QFileDialog.getExistingDirectory(self, self._title, start)
        if folder:
            self._choose(Path(folder))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_folders(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        folders = dropped_folders(event)
        if folders:
            event.acceptProposedAction()
            self._choose(folders[0])
