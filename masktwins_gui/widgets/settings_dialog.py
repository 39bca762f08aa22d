"""The settings that belong to the user, not to a project."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QFormLayout, QSpinBox, QVBoxLayout, QWidget

from masktwins_gui import theme
from masktwins_gui.models.preferences import Preferences, default_cache
from masktwins_gui.widgets.controls import combo, describe, push_button
from masktwins_gui.widgets.folder_field import FolderField

DEVICES = ("auto", "cpu", "cuda", "mps")
MOST_THREADS = 1024


class SettingsDialog(QDialog):
    """Every change counts at once. `device` says what was found on this computer, and why."""

    theme_chosen = Signal(object)  # theme.Theme
    recent_forgotten = Signal()

    def __init__(self, preferences: Preferences, device: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("settings")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Settings"))
        self.setMinimumWidth(520)
        self._preferences = preferences
        self.theme_box = self._make_theme()
        self.device_box = self._make_device()
        self.threads_box = self._make_threads()
        self.cache = self._make_cache()
        self.forget = push_button(
            "settings.forget",
            self.tr("Forget recent projects"),
            self.tr("Empty the list; the projects stay on the disk"),
        )
        self._lay_out(device)

        self.theme_box.activated.connect(lambda _: self.theme_chosen.emit(theme.Theme(self.theme_box.currentData())))
        self.device_box.currentTextChanged.connect(self._set_device)
        self.threads_box.valueChanged.connect(self._set_threads)
        self.cache.chosen.connect(self._set_cache)
        self.forget.clicked.connect(self._forget)

    def _make_theme(self) -> QComboBox:
        box = combo("settings.theme", self.tr("Theme"), self.tr("Colours of the window, the plots and the pictures"))
        box.addItem(self.tr("Dark"), theme.Theme.DARK)
        box.addItem(self.tr("Light"), theme.Theme.LIGHT)
        box.setCurrentIndex(box.findData(self._preferences.theme))
        return box

    def _make_device(self) -> QComboBox:
        box = combo(
            "settings.device",
            self.tr("Device of new projects"),
            self.tr("auto takes a GPU where there is one; cuda:1 is the second NVIDIA GPU"),
        )
        box.setEditable(True)
        box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        box.addItems(list(DEVICES))
        box.setCurrentText(self._preferences.device)
        return box

    def _make_threads(self) -> QSpinBox:
        box = QSpinBox()
        tip = self.tr("Threads for the arithmetic on the CPU, in new projects")
        describe(box, "settings.threads", self.tr("CPU threads of new projects"), tip)
        box.setRange(0, MOST_THREADS)
        box.setSpecialValueText(self.tr("automatic"))
        box.setValue(self._preferences.threads)
        return box

    def _make_cache(self) -> FolderField:
        tip = self.tr("Where downloaded starting weights are kept. A change takes effect at the next start.")
        field = FolderField(self.tr("Folder of downloaded weights"), tip, "settings.cache")
        field.line.setPlaceholderText(str(default_cache()))
        field.set_path(self._preferences.cache)
        return field

    def _lay_out(self, device: str) -> None:
        found = theme.label(device, "muted")
        found.setObjectName("settings.found")
        found.setWordWrap(True)
        form = QFormLayout()
        form.setHorizontalSpacing(14)
        form.setVerticalSpacing(8)
        form.addRow(theme.label(self.tr("Theme")), self.theme_box)
        form.addRow(theme.label(self.tr("Device of new projects")), self.device_box)
        form.addRow(theme.label(self.tr("Found here")), found)
        form.addRow(theme.label(self.tr("CPU threads of new projects")), self.threads_box)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.addButton(self.forget, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setSpacing(14)
        layout.addLayout(form)
        layout.addWidget(self.cache)
        layout.addWidget(buttons)

    def _set_device(self, text: str) -> None:
        self._preferences.device = text.strip() or "auto"

    def _set_threads(self, number: int) -> None:
        self._preferences.threads = number

    def _set_cache(self, folder: object) -> None:
        self._preferences.cache = self.cache.path
        self.cache.set_note(self.tr("takes effect at the next start"))

    def _forget(self) -> None:
        self.recent_forgotten.emit()
        self.forget.setText(self.tr("✓ Forgotten"))
        self.forget.setEnabled(False)
