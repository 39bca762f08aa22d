"""Ask where data are that do not lie where the project says."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QVBoxLayout, QWidget

from core.runs.moved import MissingData, root_between
from masktwins_gui import theme
from masktwins_gui.widgets.folder_field import FolderField


class LocateData(QDialog):
    """Opened without blocking; deletes itself when closed. `located` gives the folder's place now."""

    located = Signal(object)  # Path

    def __init__(self, missing: MissingData, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("locate")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Where are the images?"))
        self.setMinimumWidth(560)
        self._missing = missing
        text = self.tr("The images are not at {0}. Where are they now?").format(missing.path)
        if missing.run:
            text = self.tr("The images of the run {0} are not at {1}. Where are they now?")
            text = text.format(missing.run, missing.path)
        self.message = theme.label(text)
        self.message.setObjectName("locate.message")
        self.folder = FolderField(self.tr("Now in"), self.tr("The same folder at its new place"), "locate.folder")
        self.folder.set_path(missing.guess)
        self.effect = theme.label("", "muted")
        self.effect.setObjectName("locate.effect")
        for label in (self.message, self.effect):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
        self.buttons = QDialogButtonBox()
        self.accept_button = self.buttons.addButton(self.tr("Use this folder"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.accept_button.setObjectName("locate.accept")
        self.accept_button.setProperty("role", "primary")
        self.later = self.buttons.addButton(self.tr("Not now"), QDialogButtonBox.ButtonRole.RejectRole)
        self.later.setObjectName("locate.later")
        layout = QVBoxLayout(self)
        layout.setSpacing(10)
        for widget in (self.message, self.folder, self.effect, self.buttons):
            layout.addWidget(widget)

        self.folder.chosen.connect(self._on_folder)
        self.buttons.accepted.connect(self._accept)
        self.buttons.rejected.connect(self.reject)
        self._on_folder()

    def _on_folder(self, _: object = None) -> None:
        """Say what else will be looked for at the new place."""
        new = self.folder.path
        self.accept_button.setEnabled(new is not None and new.is_absolute())
        if new is None:
            text = self.tr(
                "If its drive is only disconnected, choose Not now, reconnect it, and open the project again."
            )
        else:
            root = root_between(self._missing.path, new)
            text = self.tr("Everything that was in {0} is looked for in {1}, for the project and its runs.")
            text = text.format(root.old, root.new)
        self.effect.setText(text)

    def _accept(self) -> None:
        if self.folder.path is not None:
            self.located.emit(self.folder.path)
        self.accept()
