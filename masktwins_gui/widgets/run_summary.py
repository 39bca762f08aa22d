"""A few lines below the curves: which run they are of, how its model does without labels, and the verdict."""

from __future__ import annotations

import math
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from masktwins_gui import theme
from masktwins_gui.models.health import HealthModel, Reading
from masktwins_gui.models.runs import RunInfo, RunsModel


class RunSummary(QWidget):
    """Follows the health of the run that is shown; asks for another one by `chosen`."""

    chosen = Signal(object)  # RunInfo

    def __init__(self, runs: RunsModel, health: HealthModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runs, self._health = runs, health
        self._path: Path | None = None
        self.run = QComboBox()
        self.run.setObjectName("train.shown_run")
        self.run.setAccessibleName(self.tr("Run whose curves are shown"))
        self.run.setToolTip(self.tr("Run whose curves are shown"))
        self.run.setMinimumContentsLength(7)
        self.run.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.score = theme.label("")
        self.score.setObjectName("train.health_score")
        self.score.setWordWrap(True)
        self.score.setToolTip(
            self.tr(
                "A score of the predictions on fixed target images, 1 at best, made of what can be measured without labels; "
                "the Health tab shows its terms. A proxy: it does not replace labels."
            )
        )
        self.verdict = theme.label("", "muted")
        self.verdict.setObjectName("train.verdict")
        self.verdict.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(self.run)
        row.addWidget(self.score, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 2)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.verdict)

        self.run.activated.connect(self._choose)
        runs.modelReset.connect(self._list)
        health.changed.connect(self._say)
        self._list()
        self._say()

    def show_run(self, path: Path | None) -> None:
        """Name the run whose curves are shown; None for none."""
        self._path = path
        self._list()

    def set_choosable(self, choosable: bool) -> None:
        """While a run trains, its own curves are shown."""
        self.run.setEnabled(choosable)

    def _list(self) -> None:
        blocker = QSignalBlocker(self.run)
        self.run.clear()
        for run in self._runs.runs:
            self.run.addItem(run.name, run)
        paths = [run.path for run in self._runs.runs]
        if self._path is not None and self._path not in paths:  # it has just been started
            self.run.insertItem(0, self._path.name)
            paths.insert(0, self._path)
        self.run.setCurrentIndex(paths.index(self._path) if self._path in paths else -1)
        blocker.unblock()
        self.run.setVisible(bool(paths))

    def _choose(self, index: int) -> None:
        run = self.run.itemData(index)
        if isinstance(run, RunInfo):
            self.chosen.emit(run)

    def _say(self) -> None:
        source, adapted = self._health.source, self._health.adapted
        newest = adapted or source
        text = ""
        if adapted and source:
            text = self.tr("without labels: {0} (source-only {1})").format(_score(adapted), _score(source))
        elif adapted:
            text = self.tr("without labels: {0}").format(_score(adapted))
        elif source:
            text = self.tr("without labels: source-only {0}").format(_score(source))
        collapsed = newest is not None and newest.collapsed
        if collapsed:
            text += self.tr(" ▲ collapsed: hardly any classes are predicted")
        self.score.setText(text)
        theme.set_role(self.score, "error" if collapsed else "")
        self.verdict.setText(self._health.verdict)
        self.verdict.setVisible(bool(self._health.verdict))


def _score(reading: Reading) -> str:
    return "–" if math.isnan(reading.score) else f"{reading.score:.2f}"
