"""The offer to go on with a run that ended unexpectedly."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from masktwins_gui import theme
from masktwins_gui.models.runs import RunInfo, RunsModel
from masktwins_gui.pages.train.header import lost_in_words
from masktwins_gui.widgets.controls import push_button


class ResumeOffer(QFrame):
    """Shows the newest run that crashed, until it is resumed or dismissed."""

    resume_wanted = Signal(object)  # Path
    appeared = Signal()

    def __init__(self, runs: RunsModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("train.banner")
        self.setProperty("role", "banner")
        self._runs = runs
        self._allowed = True
        self._dismissed: set[Path] = set()
        self._announced: set[Path] = set()  # whoever looks at another page is brought here once
        self.text = theme.label("")
        self.text.setWordWrap(True)
        tip = self.tr("Go on with this run from its newest checkpoint")
        self.resume = push_button("train.banner.resume", self.tr("Resume"), tip)
        tip = self.tr("Hide the offer; the run can still be resumed from the list of runs")
        self.dismiss = push_button("train.banner.dismiss", self.tr("Not now"), tip)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 6, 10, 6)
        row.addWidget(self.text, 1)
        row.addWidget(self.resume)
        row.addWidget(self.dismiss)

        self.resume.clicked.connect(self._resume)
        self.dismiss.clicked.connect(self._dismiss)
        runs.modelReset.connect(self.refresh)
        self.hide()

    def set_allowed(self, allowed: bool) -> None:
        """While a run trains, no other can be resumed."""
        self._allowed = allowed
        self.refresh()

    def offered(self) -> RunInfo | None:
        return next((run for run in self._runs.runs if run.crashed and run.path not in self._dismissed), None)

    def refresh(self) -> None:
        run = self.offered() if self._allowed else None
        self.setVisible(run is not None)
        if run is not None:
            text = self.tr("{0} ended unexpectedly at step {1} of {2}.").format(run.title, run.step, run.total)
            self.text.setText(f"{text} {lost_in_words(run)}")
            if run.path not in self._announced:
                self._announced.add(run.path)
                self.appeared.emit()

    def _resume(self) -> None:
        if run := self.offered():
            self.resume_wanted.emit(run.path)

    def _dismiss(self) -> None:
        if run := self.offered():
            self._dismissed.add(run.path)
        self.refresh()
