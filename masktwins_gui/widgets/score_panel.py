"""IoU by class of models A and B, and the button that measures it."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHeaderView, QProgressBar, QPushButton, QTableView, QVBoxLayout, QWidget

from masktwins_gui import theme
from masktwins_gui.models.classes import ScoresModel


class ScorePanel(QWidget):
    """The table with its button; `set_possible(False)` where there are no target labels."""

    requested = Signal()
    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.scores = ScoresModel(self)
        self.table = QTableView()
        self.table.setObjectName("inspect.scores")
        self.table.setAccessibleName(self.tr("IoU by class, in percent"))
        self.table.setModel(self.scores)
        self.table.setShowGrid(False)
        self.table.setSelectionMode(QTableView.SelectionMode.NoSelection)
        self.table.setTabKeyNavigation(False)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(24)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.measure = QPushButton(self.tr("Measure A and B"))
        self.measure.setObjectName("inspect.measure")
        self.measure.setToolTip(self.tr("IoU by class on the labelled target images; training never saw these labels"))
        self.cancel = QPushButton(self.tr("Cancel"))
        self.cancel.setObjectName("inspect.cancel")
        self.progress = QProgressBar()
        self.progress.setObjectName("inspect.progress")
        self.progress.setAccessibleName(self.tr("Progress of the measurement"))
        self.no_labels = theme.label(self.tr("Choose target labels on the Data page to measure IoU by class."), "muted")
        self.no_labels.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(theme.label(self.tr("IoU by class, %"), "heading"))
        layout.addWidget(self.table, 1)
        for widget in (self.no_labels, self.progress, self.measure, self.cancel):
            layout.addWidget(widget)
        self.measure.clicked.connect(self.requested)
        self.cancel.clicked.connect(self.cancelled)
        self.set_busy(False)

    def set_possible(self, possible: bool) -> None:
        self.no_labels.setVisible(not possible)
        self.measure.setEnabled(possible)

    def set_busy(self, busy: bool) -> None:
        self.measure.setVisible(not busy)
        self.cancel.setVisible(busy)
        self.progress.setVisible(busy)
        self.progress.setRange(0, 0)

    def show_progress(self, done: int, total: int) -> None:
        self.progress.setRange(0, max(1, total))
        self.progress.setValue(done)
