"""The Train page's bar: start, pause, stop, what to train with, and one line about what is happening."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QHBoxLayout, QInputDialog, QLineEdit, QMenu, QToolButton, QWidget

from core.configuration import settings
from masktwins_gui import theme
from masktwins_gui.models.runs import RunInfo
from masktwins_gui.models.states import RunState
from masktwins_gui.plain_text import plain_tip
from masktwins_gui.widgets.controls import combo, describe, tool_button
from masktwins_gui.widgets.described import describe_entries
from masktwins_gui.widgets.elided import ElidedLabel

MOST_REPEATS = 20
LISTED = 12  # runs in the resume menu


class RunBar(QWidget):
    """The buttons follow the run's state; what a press means is for the page to say."""

    start_pressed = Signal()
    repeat_pressed = Signal(int)  # number of seeds
    resume_chosen = Signal(object)  # Path of a run
    pause_pressed = Signal()
    continue_pressed = Signal()
    stop_pressed = Signal()
    stop_best_pressed = Signal()
    preset_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state = RunState.IDLE
        self._resumable: tuple[tuple[RunInfo, str], ...] = ()
        self._make_verbs()
        self._make_choices()
        self.message = ElidedLabel()
        self.message.setObjectName("train.message")
        self.message.setProperty("role", "muted")
        self.message.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._lay_out()

        self.start.clicked.connect(self.start_pressed)
        self.pause.clicked.connect(self._pause_or_continue)
        self.stop.clicked.connect(self.stop_pressed)
        self.stop_best.triggered.connect(self.stop_best_pressed.emit)
        self.start_menu.aboutToShow.connect(self.fill_menu)
        self.preset.activated.connect(self._on_preset)

    def _make_verbs(self) -> None:
        tip = self.tr("Train with these settings as a new run (F5)")
        self.start = tool_button("train.start", "start", tip, self.tr("Start"))
        self.start.setProperty("role", "primary")
        self.start.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self.start_menu = QMenu(self.start)
        self.start.setMenu(self.start_menu)
        self.pause = tool_button("train.pause", "pause", self.tr("Hold after the present step (F6)"), self.tr("Pause"))
        tip = self.tr("End the run and keep a checkpoint (F7)")
        self.stop = tool_button("train.stop", "stop", tip, self.tr("Stop"))
        self.stop.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        stop_menu = QMenu(self.stop)
        self.stop_best = stop_menu.addAction(self.tr("Stop and keep the best"))
        self.stop_best.setToolTip(self.tr("Measure the present state too, and take the best checkpoint as the result"))
        stop_menu.setToolTipsVisible(True)
        self.stop.setMenu(stop_menu)
        tip = self.tr("Make a few real steps, to see time, memory and disk before anything starts (F8)")
        self.measure = tool_button("train.measure", "measure", tip, self.tr("Measure"))
        for button, key in ((self.start, "F5"), (self.pause, "F6"), (self.stop, "F7"), (self.measure, "F8")):
            button.setShortcut(key)

    def _make_choices(self) -> None:
        tip = self.tr("Set network, sizes and schedule together; the folders stay")
        self.preset = combo("train.preset", self.tr("Preset"), tip)
        self.preset.addItem(self.tr("Preset …"))
        for name, description in settings.presets().items():
            self.preset.addItem(name.capitalize(), name)
            self.preset.setItemData(self.preset.count() - 1, plain_tip(description), Qt.ItemDataRole.ToolTipRole)
        describe_entries(self.preset)
        self.run_name = QLineEdit("run")
        tip = self.tr("Name of the next run; a number is appended")
        describe(self.run_name, "train.run_name", self.tr("Name of the run"), tip)
        self.run_name.setMaximumWidth(110)
        self.show_settings = tool_button(
            "train.show_settings", "settings", self.tr("Show the settings"), self.tr("Settings")
        )
        self.show_runs = tool_button("train.show_runs", "train", self.tr("Show the project's runs"), self.tr("Runs"))
        for button in (self.show_settings, self.show_runs):
            button.setCheckable(True)

    def _lay_out(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        for widget in (self.start, self.pause, self.stop):
            row.addWidget(widget)
        row.addSpacing(8)
        for widget in (self.show_settings, self.show_runs, self.measure, self.preset):
            row.addWidget(widget)
        row.addWidget(theme.label(self.tr("Run"), "muted"))
        row.addWidget(self.run_name)
        row.addWidget(self.message, 1)

    # State -------------------------------------------------------------------------------------

    def set_state(self, state: RunState, blocked: str) -> None:
        """Open the buttons that mean something now.

        Args:
            blocked: why no run can start, in words; empty when one can.
        """
        self.state = state
        self.start.setEnabled(not state.active and not blocked)
        self.start.setToolTip(plain_tip(blocked or self.tr("Train with these settings as a new run (F5)")))
        self.measure.setEnabled(not state.active and not blocked)
        paused = state is RunState.PAUSED
        self.pause.setText(self.tr("Resume") if paused else self.tr("Pause"))
        self.pause.setAccessibleName(self.pause.text())
        self.pause.setToolTip(self.tr("Go on training (F6)") if paused else self.tr("Hold after the present step (F6)"))
        self.pause.setShortcut(QKeySequence("F6"))  # setText forgets it
        theme.set_icon(self.pause, "start" if paused else "pause")
        self.pause.setEnabled(state in (RunState.RUNNING, RunState.PAUSED))
        self.stop.setEnabled(state.active and state is not RunState.STOPPING)
        self.stop_best.setEnabled(state in (RunState.RUNNING, RunState.PAUSED))
        self.preset.setEnabled(not state.active)
        self.run_name.setEnabled(not state.active)

    def set_resumable(self, runs: Sequence[tuple[RunInfo, str]]) -> None:
        """Offer runs in Start's menu, each with its state in words."""
        self._resumable = tuple(runs)

    def fill_menu(self) -> None:
        self.start_menu.clear()
        repeat = self.start_menu.addAction(self.tr("Repeat with several seeds …"), self._ask_repeats)
        repeat.setToolTip(self.tr("One run after the other; the list then shows mean and standard deviation"))
        self.start_menu.setToolTipsVisible(True)
        self.start_menu.addSeparator()
        for run, state in self._resumable[:LISTED]:
            action = self.start_menu.addAction(self.tr("Resume {0} ({1})").format(run.title, state))
            action.triggered.connect(lambda _=False, path=run.path: self.resume_chosen.emit(path))
        if not self._resumable:
            self.start_menu.addAction(self.tr("No run to resume")).setEnabled(False)

    def _ask_repeats(self) -> None:
        text = self.tr("How many runs? Each takes the next seed; they start one after the other.")
        count, accepted = QInputDialog.getInt(self, self.tr("Repeat with several seeds"), text, 3, 2, MOST_REPEATS)
        if accepted:
            self.repeat_pressed.emit(count)

    def _pause_or_continue(self) -> None:
        if self.state is RunState.PAUSED:
            self.continue_pressed.emit()
        else:
            self.pause.setEnabled(False)  # until the step is done
            self.pause_pressed.emit()

    def _on_preset(self, index: int) -> None:
        if name := self.preset.itemData(index):
            self.preset_chosen.emit(name)
