"""Above the curves: which run is shown, how it stands, what came out, and what to do next."""

from __future__ import annotations

import math

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from masktwins_gui import theme
from masktwins_gui.models.comparison import Comparison, repeats, spread_in_words
from masktwins_gui.models.health import HealthModel, Reading
from masktwins_gui.models.runs import RunInfo, RunsModel
from masktwins_gui.models.shown_run import ShownRun
from masktwins_gui.models.states import RunState
from masktwins_gui.plain_text import plain_tip
from masktwins_gui.widgets.controls import push_button
from masktwins_gui.widgets.elided import ElidedLabel
from masktwins_gui.widgets.run_status import duration


class RunHeader(QFrame):
    """The largest text is what matters most: what happens now, then the result."""

    resume_wanted = Signal(object)  # Path
    inspect_wanted = Signal()
    export_wanted = Signal()

    def __init__(self, runs: RunsModel, shown: ShownRun, comparison: Comparison, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("train.header")
        self.setProperty("role", "card")
        self._runs, self._shown, self._comparison = runs, shown, comparison
        self._state = RunState.IDLE
        self._happening = ""
        self.title = ElidedLabel()
        self.title.setObjectName("train.shown_run")
        self.title.setProperty("role", "muted")
        self.result = ElidedLabel()
        self.result.setObjectName("train.result")
        self.result.setProperty("role", "title")
        self.result.setAlignment(Qt.AlignmentFlag.AlignVCenter)
        self.detail = theme.label("")
        self.detail.setObjectName("train.verdict")
        self.detail.setWordWrap(True)
        self.busy = QProgressBar()
        self.busy.setObjectName("train.busy")
        self.busy.setAccessibleName(self.tr("What the run is doing"))
        self.busy.setTextVisible(False)
        self.busy.setFixedHeight(4)
        self.resume = push_button("train.header.resume", self.tr("Resume"), "")
        tip = self.tr("Compare the adapted model with the source-only one on the Inspect page")
        self.inspect = push_button("train.header.inspect", self.tr("Inspect"), tip)
        self.export = push_button(
            "train.header.export", self.tr("Export"), self.tr("Take the weights away on the Export page")
        )
        self._lay_out()

        self.resume.clicked.connect(lambda: self.resume_wanted.emit(self._shown.path))
        self.inspect.clicked.connect(self.inspect_wanted)
        self.export.clicked.connect(self.export_wanted)
        for signal in (runs.modelReset, shown.changed, shown.health.changed, comparison.changed):
            signal.connect(self.refresh)
        self.refresh()

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.addWidget(self.title, 1)
        for button in (self.resume, self.inspect, self.export):
            top.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 10, 6)
        layout.setSpacing(3)
        layout.addLayout(top)
        layout.addWidget(self.result)
        layout.addWidget(self.detail)
        layout.addWidget(self.busy)

    # What is said ------------------------------------------------------------------------------

    def set_state(self, state: RunState) -> None:
        self._state = state
        if state in (RunState.PREPARING, RunState.IDLE, RunState.FAILED, RunState.RUNNING):
            self._happening = ""
        self.refresh()

    def set_happening(self, text: str, done: int = 0, total: int = 0) -> None:
        """Say what the run does where it makes no steps; empty when it goes on with them."""
        if not text and not self._happening:
            return
        self._happening = text
        self.busy.setRange(0, total)
        self.busy.setValue(done)
        self.refresh()

    def refresh(self) -> None:
        run = self._runs.find(self._shown.path)
        trains = self._state.active and self._state is not RunState.MEASURING
        self.title.setText(self._title_text(run, trains=trains))
        self.result.setText(self._result_text(run, trains=trains))
        self.detail.setText(self._detail_text(run))
        theme.set_role(self.detail, "error" if self._collapsed() or (run and run.state == "failed") else "")
        self.detail.setVisible(bool(self.detail.text()))
        self.busy.setVisible(trains and bool(self._happening or self._state is RunState.PREPARING))
        if self._state is RunState.PREPARING and not self._happening:
            self.busy.setRange(0, 0)
        over = run is not None and not trains
        self.resume.setVisible(over and run is not None and run.resumable)
        if run is not None:
            self.resume.setToolTip(plain_tip(lost_in_words(run)))
        usable = over and run is not None and bool(run.checkpoints)
        self.inspect.setVisible(usable)
        self.export.setVisible(usable)

    def _title_text(self, run: RunInfo | None, *, trains: bool) -> str:
        if run is None or trains:  # the list's state of a run that trains is that of its last checkpoint
            name = run.title if run else self._shown.path.name if self._shown.path else ""
            words = {RunState.PAUSED: self.tr("paused"), RunState.STOPPING: self.tr("stopping")}
            return f"{name} · {words.get(self._state, self.tr('is training'))}" if trains else name
        kept = self.tr("best kept: {0}").format(run.chosen) if run.chosen else ""
        return " · ".join(filter(None, (run.title, self._runs.state_text(run), kept, self._runs.when_text(run))))

    def _result_text(self, run: RunInfo | None, *, trains: bool) -> str:
        """What happens now; else the repeats' mean; else before → after; else how the run ended."""
        if trains and (self._happening or self._state is RunState.PREPARING):
            return self._happening or self.tr("Preparing …")
        if not trains and self._comparison.active:
            for group in repeats(self._runs.ticked):
                if words := spread_in_words(group):
                    unit = self.tr("mIoU") if group[0].outcome.measured else self.tr("without labels")
                    return self.tr("{0} {1}, {2} seeds").format(words, unit, len(group))
        if run is not None and not trains and (words := self._runs.score_text(run)):
            return words
        return self._proxy_text()

    def _proxy_text(self) -> str:
        """The label-free scores that are known so far."""
        source, adapted = self._shown.health.source, self._shown.health.adapted
        if adapted and source:
            return self.tr("without labels: {0} (source-only {1})").format(_score(adapted), _score(source))
        if adapted:
            return self.tr("without labels: {0}").format(_score(adapted))
        if source:
            return self.tr("without labels: source-only {0}").format(_score(source))
        return ""

    def _detail_text(self, run: RunInfo | None) -> str:
        health = self._shown.health
        if self._collapsed():
            return self.tr("▲ collapsed: hardly any classes are predicted. {0}").format(health.verdict)
        if health.verdict:
            return health.verdict
        return run.reason if run is not None and run.state == "failed" else ""

    def _collapsed(self) -> bool:
        health: HealthModel = self._shown.health
        newest = health.adapted or health.source
        return newest is not None and newest.collapsed


def lost_in_words(run: RunInfo) -> str:
    """Say where a resume goes on, and how many steps are made again."""
    if not run.saved_step:
        return _tr("It has no checkpoint, so it starts again at step 0.")
    if not run.lost_steps:
        return _tr("It goes on at step {0}; nothing is lost.").format(run.saved_step)
    text = _tr("It goes on at step {0}, its newest checkpoint; {1} steps are made again").format(
        run.saved_step, run.lost_steps
    )
    seconds = run.lost_steps * run.seconds_per_step
    return f"{text}." if math.isnan(seconds) else _tr("{0} (about {1}).").format(text, duration(seconds))


def _tr(text: str) -> str:
    return QCoreApplication.translate("RunHeader", text)


def _score(reading: Reading) -> str:
    return "–" if math.isnan(reading.score) else f"{reading.score:.2f}"
