"""The Train page: settings or runs at the left, curves in the middle, live views at the right."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QScrollArea,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from core.configuration import settings
from core.configuration.config import RunConfig
from core.errors import ConfigError
from core.events import Estimate, Finished, Measuring, StepDone
from core.runs.create import why_not_a_name
from masktwins_gui import theme
from masktwins_gui.models.comparison import Comparison
from masktwins_gui.models.dataset import DatasetModel
from masktwins_gui.models.differences import differing
from masktwins_gui.models.presets import preset_changes
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.run_edits import RunEdits
from masktwins_gui.models.runs import RunInfo, RunsModel
from masktwins_gui.models.services import Jobs
from masktwins_gui.models.shown_run import ShownRun
from masktwins_gui.models.states import PageState, RunState
from masktwins_gui.models.wording import in_titles
from masktwins_gui.pages.train.bar import RunBar
from masktwins_gui.pages.train.curves import CurveTabs
from masktwins_gui.pages.train.header import RunHeader
from masktwins_gui.pages.train.measure import MeasureCard
from masktwins_gui.pages.train.offer import ResumeOffer
from masktwins_gui.pages.train.runs import RunsPanel
from masktwins_gui.plain_text import plain_tip
from masktwins_gui.widgets.config_form import ConfigForm
from masktwins_gui.widgets.empty_state import EmptyState
from masktwins_gui.widgets.preview_grid import PreviewGrid
from masktwins_gui.widgets.run_status import duration

REUSED = ("network", "mask", "augment", "loss", "training")  # sections that the next run takes from another


class TrainPage(QWidget):
    """Asks for start, pause, resume and stop; shows the run that trains, or one that has."""

    state_changed = Signal(object, int)  # PageState, count
    start_requested = Signal(str)  # stem of the run's name
    repeat_requested = Signal(str, int)  # stem of the runs' names, number of seeds
    resume_requested = Signal(object)  # Path of a run that ended early
    pause_requested = Signal()
    continue_requested = Signal()
    stop_requested = Signal()
    stop_best_requested = Signal()
    measure_requested = Signal()
    run_chosen = Signal(object)  # RunInfo to show
    runs_changed = Signal()  # on disk: read the list again
    inspect_requested = Signal()
    export_requested = Signal()
    data_requested = Signal()
    attention_wanted = Signal()  # a run ended unexpectedly: show this page
    failed = Signal(str, str, str)  # title, what happened, details

    def __init__(
        self,
        project: ProjectModel,
        dataset: DatasetModel,
        runs: RunsModel,
        shown: ShownRun,
        comparison: Comparison,
        jobs: Jobs,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("train")
        self._project, self._dataset, self._runs, self._shown = project, dataset, runs, shown
        self.state = RunState.IDLE
        self._measures = False
        self._measured = project.config

        self.bar = RunBar()
        self.banner = ResumeOffer(runs)
        self.problem = theme.label("", "error")
        self.problem.setObjectName("train.problem")
        self.measure_card = MeasureCard()
        self.form = ConfigForm(project, settings.settings("network", "training", "loss"), name="train.form")
        self.form_title = theme.label("", "heading")
        self.edits = RunEdits(jobs, self)
        self.runs_panel = RunsPanel(runs, self.edits)
        self.header = RunHeader(runs, shown, comparison)
        self.curves = CurveTabs(shown, comparison, jobs)
        self.previews = PreviewGrid(shown)
        self.empty = EmptyState("train", "", "", self.tr("Start"), name="train.empty", demo=False)
        self.empty.action.setToolTip(self.tr("Train the first run; where folders are missing, choose them first"))
        self._lay_out()
        self._name_parts()

        self._connect()
        self._on_shown(shown.path)
        self.set_run_state(RunState.IDLE)

    def _name_parts(self) -> None:
        """Name the widgets that other code looks up."""
        self.start, self.pause, self.stop = self.bar.start, self.bar.pause, self.bar.stop
        self.preset, self.run_name, self.message = self.bar.preset, self.bar.run_name, self.bar.message
        self.losses, self.quality, self.health = self.curves.panels
        self.log = self.curves.log

    def _connect(self) -> None:
        bar = self.bar
        bar.start_pressed.connect(self._ask_to_start)
        bar.repeat_pressed.connect(self._ask_to_start)
        bar.resume_chosen.connect(self.resume_requested)
        bar.pause_pressed.connect(self.pause_requested)
        bar.continue_pressed.connect(self.continue_requested)
        bar.stop_pressed.connect(self.stop_requested)
        bar.stop_best_pressed.connect(self.stop_best_requested)
        bar.measure.clicked.connect(self._ask_to_measure)
        bar.preset_chosen.connect(self._apply_preset)
        self._project.changed.connect(self._name_preset)
        bar.run_name.textChanged.connect(self._update)
        bar.show_settings.toggled.connect(lambda on: self._show_left(self.settings_panel, on=on))
        bar.show_runs.toggled.connect(lambda on: self._show_left(self.runs_panel, on=on))
        bar.show_settings.setChecked(True)
        self.measure_card.cancelled.connect(self.stop_requested)
        self.banner.resume_wanted.connect(self.resume_requested)
        self.banner.appeared.connect(self.attention_wanted)
        self.empty.acted.connect(self._first_step)
        self.header.resume_wanted.connect(self.resume_requested)
        self.header.inspect_wanted.connect(self.inspect_requested)
        self.header.export_wanted.connect(self.export_requested)
        self.runs_panel.chosen.connect(self.run_chosen)
        self.runs_panel.resume_wanted.connect(self.resume_requested)
        self.runs_panel.settings_wanted.connect(self._reuse_settings)
        self.edits.done.connect(self.runs_changed)
        self.edits.failed.connect(self.failed)
        self.curves.failed.connect(self.failed)
        self.curves.step_chosen.connect(self._shown.filmstrip.choose)
        self.previews.step_shown.connect(self.curves.set_playhead)
        self._shown.changed.connect(self._on_shown)
        self._runs.modelReset.connect(self._on_runs)
        self._project.changed.connect(self._on_settings)
        for signal in (self._dataset.changed, self._dataset.checked, self._project.path_changed):
            signal.connect(self._update)

    # Layout ------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(2, 4, 12, 4)
        column.addWidget(self.form_title)
        column.addWidget(self.form)
        column.addStretch(1)
        self.settings_panel = QScrollArea()
        self.settings_panel.setObjectName("train.settings")
        self.settings_panel.setWidgetResizable(True)
        self.settings_panel.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.settings_panel.setWidget(inner)
        self.left = QStackedWidget()
        self.left.setMinimumWidth(280)
        self.left.addWidget(self.settings_panel)
        self.left.addWidget(self.runs_panel)
        middle = QWidget()
        middle_column = QVBoxLayout(middle)
        middle_column.setContentsMargins(0, 0, 0, 0)
        middle_column.setSpacing(6)
        middle_column.addWidget(self.header)
        middle_column.addWidget(self.curves, 1)
        self.content = QSplitter(Qt.Orientation.Horizontal)
        self.content.setObjectName("train.content")
        self.content.addWidget(middle)
        self.content.addWidget(self.previews)
        self.content.setSizes([380, 400])
        self.content.setChildrenCollapsible(False)
        self.main = QStackedWidget()
        self.main.addWidget(self.empty)
        self.main.addWidget(self.content)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setObjectName("train.splitter")
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(self.left)
        self.splitter.addWidget(self.main)
        self.splitter.setSizes([310, 780])
        self.splitter.setStretchFactor(0, 0)
        self.splitter.setStretchFactor(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 8)
        for widget in (self.bar, self.problem, self.banner, self.measure_card):
            layout.addWidget(widget)
        layout.addWidget(self.splitter, 1)

    def _show_left(self, panel: QWidget, *, on: bool) -> None:
        """Show settings or runs, or neither: the curves take the room."""
        buttons = {self.settings_panel: self.bar.show_settings, self.runs_panel: self.bar.show_runs}
        if on:
            self.left.setCurrentWidget(panel)
            for other, button in buttons.items():
                if other is not panel:
                    blocker = QSignalBlocker(button)
                    button.setChecked(False)
                    blocker.unblock()
        self.left.setVisible(any(button.isChecked() for button in buttons.values()))

    # What the run does -------------------------------------------------------------------------

    def set_run_state(self, state: RunState) -> None:
        """Adapt buttons and forms to the run's state."""
        was_measuring = self._measures
        self._measures = state is RunState.MEASURING or (was_measuring and state is RunState.STOPPING)
        self.state = state
        self.form.set_running(state.active)
        if state is RunState.PREPARING:
            self.bar.show_settings.setChecked(False)
        if state is RunState.MEASURING:
            self.measure_card.set_busy(self.tr("Measuring: loading …"))
        elif was_measuring and not state.active:
            self.measure_card.end()
            self.message.setText("")
        trains = state.active and not self._measures
        self.header.set_state(state if trains or not state.active else RunState.IDLE)
        self.runs_panel.set_trains(self._shown.path if trains else None)
        self.banner.set_allowed(not state.active)
        self._update()

    def show_message(self, text: str) -> None:
        """Show one line about what happens now."""
        self.message.setText(text)
        if self.state is RunState.PREPARING:
            self.header.set_happening(text)
        elif self.state is RunState.MEASURING:
            self.measure_card.set_busy(text)

    def show_measuring(self, event: Measuring) -> None:
        """Show what the run does between two steps: the largest text says it until the next step."""
        counted = self.tr("{0} ({1} of {2})").format(event.message, event.done, event.total)
        self.header.set_happening(counted if event.total else event.message, event.done, event.total)

    def show_step(self, event: StepDone) -> None:
        self.header.set_happening("")
        if self.state is RunState.RUNNING:
            self.message.setText(" · ".join(f"{name} {value:.3f}" for name, value in event.losses.items()))

    def show_estimate(self, found: Estimate) -> None:
        self._measured = self._project.config
        self.measure_card.show_estimate(found)
        self._update()

    def show_end(self, event: Finished) -> None:
        stopped = self.tr("Stopped after step {0}; the checkpoint is kept")
        text = (stopped if event.stopped else self.tr("Finished all {0} steps")).format(event.step)
        before, after = event.result.get("source_only"), event.result.get("teacher")
        if before and after:
            text += self.tr(": source-only {0:.1f} → adapted {1:.1f} mIoU").format(before["miou"], after["miou"])
        self._shown.write(text)
        self.message.setText(text)
        if verdict := event.result.get("verdict"):
            self._shown.write(str(verdict))

    def show_repeats(self, paths: tuple[Path, ...]) -> None:
        """Compare the runs that differ by their seed, now that all have finished."""
        self._runs.tick(paths)
        self.bar.show_runs.setChecked(True)

    # Buttons -----------------------------------------------------------------------------------

    def _ask_to_start(self, repeats: int = 0) -> None:
        if self._complains():
            return
        name = self.run_name.text()
        if repeats:
            self.repeat_requested.emit(name, repeats)
        else:
            self.start_requested.emit(name)

    def _ask_to_measure(self) -> None:
        if not self._complains():
            self.measure_requested.emit()

    def _complains(self) -> bool:
        """Show what keeps a run from starting, if anything does."""
        if errors := self.form.errors():
            self.bar.show_settings.setChecked(True)
            self.problem.setText(self.tr("Correct this first: {0}").format("; ".join(errors.values())))
            self.problem.show()
            self.form.go_to(next(iter(errors)))
        return bool(errors)

    def _first_step(self) -> None:
        """The empty page's button: the data where they are missing, else the first run."""
        if self._blocked():
            self.data_requested.emit()
        else:
            self._ask_to_start()

    def _apply_preset(self, name: str) -> None:
        try:
            self._project.change(preset_changes(name))
            self.message.setText(settings.presets()[name])
        except ConfigError as error:
            self.message.setText(in_titles(str(error)))
            self._name_preset(self._project.config)

    def _name_preset(self, config: RunConfig) -> None:
        """Name the preset for as long as the settings are its own: not after undo, or a change of one of them."""
        name = self.preset.currentData()
        if name and any(settings.get(config, path) != value for path, value in preset_changes(name).items()):
            self.preset.setCurrentIndex(0)

    def _reuse_settings(self, run: RunInfo) -> None:
        """Take another run's settings for the next one, all but the folders; it can be undone."""
        paths = [path for path in differing((self._project.config, run.config)) if path.partition(".")[0] in REUSED]
        try:
            self._project.change({path: settings.get(run.config, path) for path in paths})
        except ConfigError as error:
            self.message.setText(str(error))
            return
        self.bar.show_settings.setChecked(True)
        self.message.setText(
            self.tr("The next run takes the settings of {0}; undo brings yours back").format(run.title)
        )

    # State -------------------------------------------------------------------------------------

    def _blocked(self) -> str:
        """Why no run can start; empty when one can."""
        if not self._dataset.complete:
            return self.tr("Choose the folders on the Data page first")
        if self._dataset.num_errors:
            return self.tr("The data have errors that block the training: see the Data page")
        return ""

    def _update(self) -> None:
        blocked, bad_name = self._blocked(), why_not_a_name(self.run_name.text())
        self.bar.set_state(self.state, blocked or bad_name)
        self.problem.setText(bad_name)
        self.problem.setVisible(bool(bad_name))
        if blocked and not self.state.active and self._shown.path is None:
            self.message.setText(blocked)
        elif not blocked and self.message.text() == self.tr("Choose the folders on the Data page first"):
            self.message.setText("")
        self._fill_empty(blocked)
        self._name_form()
        self.state_changed.emit(*self._page_state())

    def _page_state(self) -> tuple[PageState, int]:
        crashed = sum(run.crashed for run in self._runs.runs)
        if self.state.active:
            return PageState.RUNNING, 0
        if self.state is RunState.FAILED or crashed:
            return PageState.ATTENTION, crashed
        if not self._dataset.complete:
            return PageState.EMPTY, 0
        newest = next(iter(self._runs.runs), None)
        return (PageState.DONE if newest is not None and newest.state == "finished" else PageState.READY), 0

    def _fill_empty(self, blocked: str) -> None:
        """Say what to do first."""
        self.empty.title.setText(self.tr("No data yet") if blocked else self.tr("Ready for the first run"))
        found = self.measure_card.estimate
        if blocked:
            text = blocked + "."
        elif found is not None:
            text = self.tr(
                "It takes about {0} on {1}. The settings are on the left; a preset sets them together."
            ).format(duration(found.total_seconds), found.device)
        else:
            text = self.tr(
                "Pick a preset above, then press Start. To know beforehand how long it takes and what it needs, press Measure."
            )
        self.empty.text.setText(text)
        self.empty.action.setText(self.tr("Go to Data") if blocked else self.tr("Start"))
        self.empty.action.setToolTip(plain_tip(blocked or self.tr("Train with these settings as a new run")))
        self.empty.action.setEnabled(not self.state.active)

    def _name_form(self) -> None:
        trains = self.state.active and not self._measures
        name = self._shown.path.name if trains and self._shown.path else ""
        words = (
            self.tr("Settings of {0}, which is training").format(name) if name else self.tr("Settings of the next run")
        )
        self.form_title.setText(words)

    def _on_runs(self) -> None:
        self.bar.set_resumable([(run, self._runs.state_text(run)) for run in self._runs.runs if run.resumable])
        self._update()

    def _on_settings(self) -> None:
        if self.measure_card.estimate is not None and self._project.config != self._measured:
            self.measure_card.mark_stale()
        self._update()  # a value that was refused has been corrected

    def _on_shown(self, path: Path | None) -> None:
        self.runs_panel.show_run(path)
        self.main.setCurrentWidget(self.empty if path is None else self.content)
        self._update()
