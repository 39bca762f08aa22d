"""The Train page: settings, the run's buttons, live curves and live views."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSplitter,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.configuration import settings
from core.errors import ConfigError
from core.events import Finished, StepDone, Warned
from core.runs.create import why_not_a_name
from masktwins_gui import theme
from masktwins_gui.models.curves import CurveStore
from masktwins_gui.models.dataset import DatasetModel
from masktwins_gui.models.health import HealthModel
from masktwins_gui.models.presets import preset_changes
from masktwins_gui.models.previews import PreviewHistory
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.runs import RunInfo, RunsModel
from masktwins_gui.models.states import PageState, RunState
from masktwins_gui.plain_text import plain_tip
from masktwins_gui.widgets.config_form import ConfigForm
from masktwins_gui.widgets.curves import CurvePanel
from masktwins_gui.widgets.described import describe_entries
from masktwins_gui.widgets.preview_grid import PreviewGrid
from masktwins_gui.widgets.run_summary import RunSummary

LOG_LINES = 500


class TrainPage(QWidget):
    """Asks for start, pause, resume and stop; shows what the run says."""

    state_changed = Signal(object, int)  # PageState, count
    start_requested = Signal(str)  # stem of the run's name
    resume_requested = Signal(object)  # Path of a run that ended early
    pause_requested = Signal()
    continue_requested = Signal()
    stop_requested = Signal()

    def __init__(
        self,
        project: ProjectModel,
        dataset: DatasetModel,
        runs: RunsModel,
        curves: tuple[CurveStore, CurveStore],
        health: HealthModel,
        previews: PreviewHistory,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("train")
        self._project, self._dataset, self._runs = project, dataset, runs
        self.state = RunState.IDLE
        self._dismissed: set[Path] = set()

        self._make_bar()
        self._make_banner()
        self.form = ConfigForm(project, settings.settings("network", "training", "loss"), name="train.form")
        self.message = theme.label("", "muted")
        self.message.setObjectName("train.message")
        self.message.setWordWrap(True)
        self.losses = CurvePanel(curves[0], name="train.losses", unit=self.tr("loss"))
        self.quality = CurvePanel(curves[1], name="train.quality", unit=self.tr("mIoU, %"), dots=25)
        self.health = CurvePanel(health.curves, name="train.health", unit=self.tr("without labels, 0 to 1"), dots=25)
        self.summary = RunSummary(runs, health)
        self.log = QPlainTextEdit()
        self.log.setObjectName("train.log")
        self.log.setAccessibleName(self.tr("Messages of the run"))
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(LOG_LINES)
        self.previews = PreviewGrid(previews)
        self._lay_out()

        self._connect()
        self.set_run_state(RunState.IDLE)

    def _connect(self) -> None:
        self.start.clicked.connect(self._ask_to_start)
        self.pause.clicked.connect(self._pause_or_continue)
        self.stop.clicked.connect(self.stop_requested)
        self.run_name.textChanged.connect(self._update_buttons)
        self.show_settings.toggled.connect(self.settings_panel.setVisible)
        self.preset.activated.connect(self._apply_preset)
        self.resume_button.clicked.connect(self._resume_offered)
        self.dismiss_button.clicked.connect(self._dismiss)
        self.resume_menu.aboutToShow.connect(self._fill_resume_menu)
        self._runs.modelReset.connect(self._offer_resume)
        self._runs.modelReset.connect(self._update_buttons)
        for signal in (self._dataset.changed, self._dataset.checked, self._project.path_changed):
            signal.connect(self._update_buttons)

    # Widgets -----------------------------------------------------------------------------------

    def _make_bar(self) -> None:
        self.start = _button(
            "train.start", "start", self.tr("Start"), self.tr("Train with these settings as a new run (F5)")
        )
        self.start.setProperty("role", "primary")
        self.start.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self.resume_menu = QMenu(self.start)
        self.start.setMenu(self.resume_menu)
        self.pause = _button("train.pause", "pause", self.tr("Pause"), self.tr("Hold after the present step (F6)"))
        self.stop = _button("train.stop", "stop", self.tr("Stop"), self.tr("End the run and keep a checkpoint (F7)"))
        for button, key in ((self.start, "F5"), (self.pause, "F6"), (self.stop, "F7")):
            button.setShortcut(key)
        self.preset = QComboBox()
        self.preset.setObjectName("train.preset")
        self.preset.setAccessibleName(self.tr("Preset"))
        self.preset.setToolTip(self.tr("Set network, sizes and schedule together; the folders stay"))
        self.preset.addItem(self.tr("Preset …"))
        for name, description in settings.presets().items():
            self.preset.addItem(name.capitalize(), name)
            self.preset.setItemData(self.preset.count() - 1, plain_tip(description), Qt.ItemDataRole.ToolTipRole)
        describe_entries(self.preset)
        self.run_name = QLineEdit("run")
        self.run_name.setObjectName("train.run_name")
        self.run_name.setAccessibleName(self.tr("Name of the run"))
        self.run_name.setToolTip(self.tr("Name of the next run; a number is appended"))
        self.run_name.setMaximumWidth(130)
        self.run_name_note = theme.label("", "error")
        self.run_name_note.setObjectName("train.run_name.note")
        self.run_name_note.setTextFormat(Qt.TextFormat.PlainText)
        self.run_name_note.setWordWrap(True)
        self.run_name_note.hide()
        self.show_settings = _button(
            "train.show_settings", "settings", self.tr("Settings"), self.tr("Show or hide the settings")
        )
        self.show_settings.setCheckable(True)
        self.show_settings.setChecked(True)

    def _make_banner(self) -> None:
        self.banner = QFrame()
        self.banner.setObjectName("train.banner")
        self.banner.setProperty("role", "banner")
        self.banner_text = theme.label("")
        self.banner_text.setWordWrap(True)
        self.resume_button = QPushButton(self.tr("Resume"))
        self.resume_button.setObjectName("train.banner.resume")
        self.dismiss_button = QPushButton(self.tr("Not now"))
        self.dismiss_button.setObjectName("train.banner.dismiss")
        row = QHBoxLayout(self.banner)
        row.setContentsMargins(10, 6, 10, 6)
        row.addWidget(self.banner_text, 1)
        row.addWidget(self.resume_button)
        row.addWidget(self.dismiss_button)
        self.banner.hide()

    def _lay_out(self) -> None:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(2, 4, 12, 4)
        column.addWidget(self.form)
        column.addStretch(1)
        self.settings_panel = QScrollArea()
        self.settings_panel.setObjectName("train.settings")
        self.settings_panel.setWidgetResizable(True)
        self.settings_panel.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.settings_panel.setWidget(inner)
        self.settings_panel.setMinimumWidth(300)
        self.tabs = QTabWidget()
        self.tabs.setObjectName("train.tabs")
        self.tabs.addTab(self.losses, self.tr("Losses"))
        self.tabs.addTab(self.quality, self.tr("Quality"))
        self.tabs.addTab(self.health, self.tr("Health"))
        self.tabs.setTabToolTip(2, self.tr("What can be told without labels: a proxy that does not replace them"))
        self.tabs.addTab(self.log, self.tr("Log"))
        self.tabs.setTabToolTip(3, self.tr("What the run has said"))
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setObjectName("train.splitter")
        self.splitter.setChildrenCollapsible(False)
        middle = QWidget()
        middle_column = QVBoxLayout(middle)
        middle_column.setContentsMargins(0, 0, 0, 0)
        middle_column.setSpacing(4)
        middle_column.addWidget(self.tabs, 1)
        middle_column.addWidget(self.summary)
        for widget in (self.settings_panel, middle, self.previews):
            self.splitter.addWidget(widget)
        self.splitter.setSizes([310, 380, 400])
        self.splitter.setStretchFactor(0, 0)
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setStretchFactor(2, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 8)
        layout.addLayout(self._bar_layout())
        layout.addWidget(self.banner)
        layout.addWidget(self.splitter, 1)

    def _bar_layout(self) -> QHBoxLayout:
        bar = QHBoxLayout()
        bar.setSpacing(6)
        for widget in (self.start, self.pause, self.stop):
            bar.addWidget(widget)
        bar.addSpacing(8)
        bar.addWidget(self.show_settings)
        bar.addWidget(self.preset)
        bar.addWidget(theme.label(self.tr("Run"), "muted"))
        bar.addWidget(self.run_name)
        bar.addWidget(self.run_name_note, 1)
        bar.addWidget(self.message, 1)
        self.message.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.message.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        return bar

    # What the run says -------------------------------------------------------------------------

    def set_run_state(self, state: RunState) -> None:
        """Adapt buttons and forms to the run's state."""
        self.state = state
        self.form.set_running(state.active)
        self.preset.setEnabled(not state.active)
        self.summary.set_choosable(not state.active)
        self.run_name.setEnabled(not state.active)
        if state is RunState.PREPARING:
            self.log.clear()
            self.show_settings.setChecked(False)
            self.banner.hide()
        paused = state is RunState.PAUSED
        self.pause.setText(self.tr("Resume") if paused else self.tr("Pause"))
        self.pause.setToolTip(self.tr("Go on training (F6)") if paused else self.tr("Hold after the present step (F6)"))
        self.pause.setShortcut("F6")  # setText forgets it
        theme.set_icon(self.pause, "start" if paused else "pause")
        self.pause.setEnabled(state in (RunState.RUNNING, RunState.PAUSED))
        self.stop.setEnabled(state in (RunState.PREPARING, RunState.RUNNING, RunState.PAUSED))
        self._update_buttons()

    def show_message(self, text: str) -> None:
        self.message.setText(text)
        self.message.setToolTip(plain_tip(text))
        self.log.appendPlainText(text)

    def show_warning(self, event: Warned) -> None:
        place = f" ({event.path})" if event.path else ""
        self.show_message(f"▲ {event.message}{place}")

    def show_step(self, event: StepDone) -> None:
        if self.state is RunState.RUNNING:
            words = " · ".join(f"{name} {value:.3f}" for name, value in event.losses.items())
            self.message.setText(words)

    def show_end(self, event: Finished) -> None:
        text = (
            self.tr("Stopped after step {0}; the checkpoint is kept")
            if event.stopped
            else self.tr("Finished all {0} steps")
        )
        text = text.format(event.step)
        before, after = event.result.get("source_only"), event.result.get("teacher")
        if before and after:
            text += self.tr(": source-only {0:.1f} → adapted {1:.1f} mIoU").format(before["miou"], after["miou"])
        self.show_message(text)
        if verdict := event.result.get("verdict"):
            self.log.appendPlainText(str(verdict))

    # Buttons -----------------------------------------------------------------------------------

    def _ask_to_start(self) -> None:
        if errors := self.form.errors():
            self.show_settings.setChecked(True)
            self.show_message(self.tr("Correct this first: {0}").format("; ".join(errors.values())))
            return
        self.start_requested.emit(self.run_name.text())

    def _pause_or_continue(self) -> None:
        if self.state is RunState.PAUSED:
            self.continue_requested.emit()
        else:
            self.pause.setEnabled(False)
            self.pause_requested.emit()

    def _update_buttons(self) -> None:
        reason = bad_name = why_not_a_name(self.run_name.text())
        self.run_name_note.setText(bad_name)
        self.run_name_note.setVisible(bool(bad_name))
        self.message.setVisible(not bad_name)
        if not self._dataset.complete:
            reason = self.tr("Choose the folders on the Data page first")
        elif self._dataset.num_errors:
            reason = self.tr("The data have errors that block the training: see the Data page")
        self.start.setEnabled(not self.state.active and not reason)
        self.start.setToolTip(plain_tip(reason or self.tr("Train with these settings as a new run (F5)")))
        if self.state.active:
            self.state_changed.emit(PageState.RUNNING, 0)
        elif self.state is RunState.FAILED:
            self.state_changed.emit(PageState.ATTENTION, 0)
        elif not self._dataset.complete:
            self.state_changed.emit(PageState.EMPTY, 0)
        else:
            newest = next(iter(self._runs.runs), None)
            done = newest is not None and newest.state == "finished"
            self.state_changed.emit(PageState.DONE if done else PageState.READY, 0)
        if not self.state.active and reason and reason != bad_name and not self.log.toPlainText():
            self.message.setText(reason)
        elif self.message.text() == self.tr("Choose the folders on the Data page first"):
            self.message.setText("")

    def _apply_preset(self, index: int) -> None:
        name = self.preset.itemData(index)
        if name is None:
            return
        try:
            self._project.change(preset_changes(name))
            self.show_message(settings.presets()[name])
        except ConfigError as error:
            self.show_message(str(error))
            blocker = QSignalBlocker(self.preset)
            self.preset.setCurrentIndex(0)
            blocker.unblock()

    # Resuming ----------------------------------------------------------------------------------

    def _fill_resume_menu(self) -> None:
        self.resume_menu.clear()
        resumable = [run for run in self._runs.runs if run.resumable]
        for run in resumable[:12]:
            action = self.resume_menu.addAction(
                self.tr("Resume {0} ({1})").format(run.name, self._runs.state_text(run))
            )
            action.triggered.connect(lambda _=False, path=run.path: self.resume_requested.emit(path))
        if not resumable:
            self.resume_menu.addAction(self.tr("No run to resume")).setEnabled(False)

    def _offered(self) -> RunInfo | None:
        return next((run for run in self._runs.runs if run.crashed and run.path not in self._dismissed), None)

    def _offer_resume(self) -> None:
        run = self._offered()
        self.banner.setVisible(run is not None and not self.state.active)
        if run:
            self.banner_text.setText(
                self.tr("{0} ended unexpectedly at step {1} of {2}. It can go on from its newest checkpoint.").format(
                    run.name, run.step, run.total
                )
            )

    def _resume_offered(self) -> None:
        if run := self._offered():
            self.resume_requested.emit(run.path)

    def _dismiss(self) -> None:
        if run := self._offered():
            self._dismissed.add(run.path)
        self._offer_resume()


def _button(name: str, icon: str, text: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setObjectName(name)
    button.setText(text)
    button.setAccessibleName(text)
    button.setToolTip(plain_tip(tip))
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    theme.set_icon(button, icon)
    return button
