"""Forms made from the configuration's fields: one row per setting, checked as it is edited."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QFormLayout, QLabel, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from core.configuration import settings
from core.configuration.config import RunConfig
from core.configuration.settings import Setting
from core.errors import ConfigError
from core.networks.encoders import ENCODERS
from masktwins_gui import theme
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.relevance import idle_reason
from masktwins_gui.models.wording import in_titles
from masktwins_gui.plain_text import plain_tip
from masktwins_gui.widgets.controls import fold_button
from masktwins_gui.widgets.editors import Editor, TextEditor, make_editor

LONG_TITLE = 22  # characters; longer ones are wrapped, else they push the fields out of a narrow form


class ConfigForm(QWidget):
    """Edits the project's settings. A value that cannot be used is said below its field and changes nothing."""

    def __init__(
        self, project: ProjectModel, shown: Iterable[Setting], *, name: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self._project = project
        self._running = False
        self.editors: dict[str, Editor] = {}
        self._settings: dict[str, Setting] = {}
        self._errors: dict[str, QLabel] = {}
        self._labels: dict[str, QLabel] = {}
        self._headed: set[tuple[bool, str]] = set()

        self._form, self._advanced = _form(), _form()
        self._folded = QWidget()
        self._folded.setLayout(self._advanced)
        self.more = fold_button(
            f"{name}.advanced", self.tr("Advanced"), self.tr("Show the settings that rarely need changing")
        )

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        listed = list(shown)
        headed = len({s.path.partition(".")[0] for s in listed}) > 1
        layout.addLayout(self._form)  # from top to bottom: Tab goes in the order in which widgets get their parent
        for setting in (s for s in listed if not s.advanced):
            self._add(setting, headed=headed)
        layout.addWidget(self.more, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self._folded)
        for setting in (s for s in listed if s.advanced):
            self._add(setting, headed=headed)
        self.more.setVisible(self._advanced.rowCount() > 0)
        self._folded.hide()

        self.more.toggled.connect(self._folded.setVisible)
        project.changed.connect(self.refresh)
        self.refresh(project.config)

    def _add(self, setting: Setting, *, headed: bool) -> None:
        editor = make_editor(setting)
        editor.setObjectName(setting.path)
        editor.setToolTip(plain_tip(setting.description))
        editor.setAccessibleName(setting.title)
        editor.setAccessibleDescription(setting.description)
        label = theme.label(setting.title)
        label.setToolTip(plain_tip(setting.description))
        label.setWordWrap(len(setting.title) > LONG_TITLE)
        label.setBuddy(editor)
        self._labels[setting.path] = label
        error = theme.label("", "error")
        error.setWordWrap(True)
        error.hide()
        form = self._advanced if setting.advanced else self._form
        if headed:
            self._head(form, setting.path.partition(".")[0])
        form.addRow(label, editor)
        form.addRow(error)
        self.editors[setting.path], self._settings[setting.path], self._errors[setting.path] = editor, setting, error
        editor.edited.connect(lambda path=setting.path: self._apply(path))

    def _head(self, form: QFormLayout, section: str) -> None:
        """A heading where a section begins."""
        titles = {
            "data": self.tr("Data"),
            "network": self.tr("Network"),
            "mask": self.tr("Twins"),
            "augment": self.tr("Augmentation"),
            "loss": self.tr("Losses"),
            "training": self.tr("Schedule and device"),
        }
        if (form is self._advanced, section) not in self._headed:
            self._headed.add((form is self._advanced, section))
            heading = theme.label(titles.get(section, section), "heading")
            heading.setContentsMargins(0, 6 if form.rowCount() else 0, 0, 0)
            form.addRow(heading)

    def refresh(self, config: RunConfig) -> None:
        """Show the configuration's values; a field that holds a refused value keeps it while it has the focus."""
        for path, editor in self.editors.items():
            value = settings.get(config, path)
            if self._errors[path].isVisibleTo(self) and editor.isAncestorOf(self.focusWidget() or self):
                continue
            blocker = QSignalBlocker(editor)
            editor.set_value(value)
            blocker.unblock()
            self._complain(path, "")
        encoder = self.editors.get("network.encoder")
        if isinstance(encoder, TextEditor):
            encoder.suggest(ENCODERS[config.network.architecture])
        self._open_editors(config)

    def set_running(self, running: bool) -> None:
        """While a run trains, only live settings can be changed."""
        self._running = running
        self._open_editors(self._project.config)

    def _open_editors(self, config: RunConfig) -> None:
        """Close what is fixed while a run trains and what has no effect at present, and say so."""
        for path, editor in self.editors.items():
            setting, idle = self._settings[path], idle_reason(path, config)
            fixed = self._running and not setting.live
            tip = setting.description
            if fixed:
                tip = self.tr("{0} (fixed while a run trains)").format(tip)
            elif idle:
                tip = self.tr("{0} (no effect now: {1})").format(tip, idle)
            editor.setEnabled(not fixed and not idle)
            editor.setToolTip(plain_tip(tip))
            self._labels[path].setEnabled(not idle)

    def errors(self) -> dict[str, str]:
        """What is wrong, by setting."""
        return {path: label.text() for path, label in self._errors.items() if label.text()}

    def go_to(self, path: str) -> None:
        """Show a setting's field and put the focus into it."""
        if self._settings[path].advanced:
            self.more.setChecked(True)
        editor, area = self.editors[path], self.parent()
        while area is not None and not isinstance(area, QScrollArea):
            area = area.parent()
        if isinstance(area, QScrollArea):
            area.ensureWidgetVisible(editor)
        editor.setFocus()
        if isinstance(line := editor.focusProxy(), QLineEdit):
            line.selectAll()

    def _apply(self, path: str) -> None:
        try:
            value = self.editors[path].value()
            self._complain(path, "")
            self._project.change({path: value})
            self.editors[path].settle()
        except ConfigError as error:
            self._complain(path, in_titles(str(error)))
        except ValueError as error:
            self._complain(path, f"{self._settings[path].title}: {error}")

    def _complain(self, path: str, text: str) -> None:
        label = self._errors[path]
        if label.text() != text:
            label.setText(text)
            label.setVisible(bool(text))
            self.editors[path].set_invalid(bool(text))


def _form() -> QFormLayout:
    form = QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setHorizontalSpacing(10)
    form.setVerticalSpacing(5)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    return form
