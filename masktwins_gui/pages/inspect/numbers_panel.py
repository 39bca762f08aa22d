"""A and B in numbers, at the right of the compare desk: IoU by class, and the matrix of classes."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QModelIndex, QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QProgressBar,
    QTableView,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from core.evaluation.compare import Totals
from core.events import Scores
from masktwins_gui import theme
from masktwins_gui.models.classes import ScoresModel
from masktwins_gui.models.desk import Cell, Table, boundary_scores, iou_scores, matrix_of
from masktwins_gui.models.matrix import MatrixModel
from masktwins_gui.models.services import Classes
from masktwins_gui.widgets.controls import combo, describe, push_button, tool_button

CELL_WIDTH, CELL_HEIGHT = 40, 24


class NumbersPanel(QWidget):
    """Shows sums over images, and starts finding them out for all."""

    compare_requested = Signal()
    cancelled = Signal()
    cell_chosen = Signal(object)  # Cell, or None for all pixels
    save_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._totals: Totals | None = None
        self._known: tuple[Scores, Scores] | None = None  # that the run measured itself
        self._classes = Classes()
        self._num_labelled = 0
        self.scores = ScoresModel(self)
        self.matrix = MatrixModel(self)
        self._make_scores()
        self._make_matrix()
        self.tabs = QTabWidget()
        describe(self.tabs, "inspect.numbers", self.tr("A and B in numbers"))
        self.tabs.addTab(self._scores_page, self.tr("Classes"))
        self.tabs.addTab(self._matrix_page, self.tr("Changes"))
        self.coverage = theme.label("", "muted")
        self.coverage.setWordWrap(True)
        self.measure = push_button(
            "inspect.measure",
            self.tr("Compare all"),
            self.tr("Predict every image of the list with A and B: changes, confidence, and with labels IoU by class"),
        )
        self.cancel = push_button("inspect.cancel", self.tr("Cancel"), self.tr("Stop; what is known by then stays"))
        self.save = tool_button("inspect.csv", "save", self.tr("Save these numbers as CSV"))
        self.progress = QProgressBar()
        describe(self.progress, "inspect.progress", self.tr("Images compared"))
        self._lay_out()
        self._connect()
        self.set_busy(False)
        self._show()

    def _make_scores(self) -> None:
        self.figure = combo(
            "inspect.metric",
            self.tr("Figure by class"),
            self.tr("IoU counts all pixels of a class; boundary IoU only those near its outline (2 % of the diagonal)"),
        )
        self.figure.addItems([self.tr("IoU, %"), self.tr("Boundary IoU, %")])
        self.table = QTableView()
        describe(self.table, "inspect.scores", self.tr("IoU by class, in percent"))
        self.table.setModel(self.scores)
        self.table.setShowGrid(False)
        self.table.setSelectionMode(QTableView.SelectionMode.NoSelection)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(CELL_HEIGHT)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.no_labels = theme.label(
            self.tr("Choose target labels on the Data page to measure IoU by class. Changes need no labels."), "muted"
        )
        self.no_labels.setWordWrap(True)
        self.measured_on = theme.label("", "muted")
        self.measured_on.setWordWrap(True)
        self._scores_page = _column(self.figure, self.table, self.measured_on, self.no_labels)

    def _make_matrix(self) -> None:
        self.kind = combo("inspect.matrix_kind", self.tr("What the matrix counts"))
        for table, title in (
            (Table.CHANGES, self.tr("Pixels by class: A ↓ → B")),
            (Table.CONFUSION_A, self.tr("Label ↓ → A")),
            (Table.CONFUSION_B, self.tr("Label ↓ → B")),
            (Table.DIFFERENCE, self.tr("Label ↓ → B less A")),
        ):
            self.kind.addItem(title, table)
        self.grid = QTableView()
        describe(
            self.grid,
            "inspect.matrix",
            self.tr("Pixels by class before and after"),
            self.tr("A click or Enter on a cell lists the images with this change, and shows only those pixels"),
        )
        self.grid.setModel(self.matrix)
        self.grid.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        for header, size in (
            (self.grid.horizontalHeader(), CELL_WIDTH),
            (self.grid.verticalHeader(), CELL_HEIGHT),
        ):
            header.setDefaultSectionSize(size)
            header.setMinimumSectionSize(18)
        self.grid.setTabKeyNavigation(False)
        self.grid.setTextElideMode(Qt.TextElideMode.ElideNone)
        small = self.grid.font()
        small.setPointSizeF(0.85 * small.pointSizeF())
        self.grid.setFont(small)
        self.sentence = theme.label("", "muted")
        self.sentence.setWordWrap(True)
        self.show_all = push_button("inspect.all_pixels", self.tr("Show all pixels"), self.tr("List all images again"))
        self._matrix_page = _column(self.kind, self.grid, self.sentence, self.show_all)

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self.measure, 1)
        buttons.addWidget(self.cancel, 1)
        buttons.addWidget(self.save)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.tabs, 1)
        column.addWidget(self.coverage)
        column.addWidget(self.progress)
        column.addLayout(buttons)

    def _connect(self) -> None:
        self.figure.currentIndexChanged.connect(self._show_scores)
        self.kind.currentIndexChanged.connect(self._on_kind)
        self.grid.clicked.connect(self._choose)
        self.grid.activated.connect(self._choose)
        self.show_all.clicked.connect(self.clear_cell)
        self.measure.clicked.connect(self.compare_requested)
        self.cancel.clicked.connect(self.cancelled)
        self.save.clicked.connect(self.save_requested)

    # What is shown -----------------------------------------------------------------------------

    def set_labelled(self, num_labelled: int) -> None:
        """Say how many of the images have labels."""
        self._num_labelled = num_labelled
        self.no_labels.setVisible(num_labelled == 0)
        for widget in (self.figure, self.table, self.measured_on):
            widget.setVisible(num_labelled > 0)

    def set_totals(self, totals: Totals | None, classes: Classes, num_images: int) -> None:
        """Show sums over the images that are known, of `num_images`."""
        self._totals, self._classes = totals, classes
        known = totals.images if totals else 0
        self.coverage.setText(self.tr("{0} of {1} images compared").format(known, num_images))
        self.measure.setEnabled(num_images > 0)
        self._show()

    def set_known(self, scores: tuple[Scores, Scores] | None) -> None:
        """Show what the run measured itself on all labelled images, until as many have been compared here."""
        self._known = scores
        self._show_scores()

    def _show(self) -> None:
        self._show_scores()
        self._show_matrix()

    def _show_scores(self) -> None:
        names, palette, totals = self._classes.names, self._classes.palette, self._totals
        num_labelled, boundary = totals.labelled if totals else 0, self.figure.currentIndex() == 1
        if self._known is not None and not boundary and num_labelled < self._num_labelled:
            self.scores.set_scores(*self._known, palette)
            self.measured_on.setText(self.tr("As the run measured it on all labelled images"))
        elif totals is not None and num_labelled:
            measured = boundary_scores(totals, names) if boundary else iou_scores(totals, names)
            self.scores.set_scores(*measured, palette)
            self.measured_on.setText(
                self.tr("Over {0} of {1} labelled images").format(num_labelled, self._num_labelled)
            )
        else:
            self.scores.set_scores(None, None, ())
            self.measured_on.setText(self.tr("Not measured yet"))

    def _show_matrix(self) -> None:
        totals, table = self._totals, Table(self.kind.currentData())
        labelled = totals is not None and totals.labelled > 0
        for index in range(1, self.kind.count()):
            item = self.kind.model().item(index)  # type: ignore[attr-defined] - a QStandardItemModel
            item.setEnabled(labelled)
        if totals is None or (table is not Table.CHANGES and not labelled):
            self.matrix.set_matrix(table, np.zeros((0, 0), np.int64), Classes())
            return
        chosen = self.grid.currentIndex()
        at = (chosen.row(), chosen.column())
        blocker = QSignalBlocker(self.grid)
        self.matrix.set_matrix(table, matrix_of(totals, table), self._classes)
        if 0 <= at[0] < self.matrix.rowCount():
            self.grid.setCurrentIndex(self.matrix.index(*at))
        blocker.unblock()

    def _on_kind(self) -> None:
        self.clear_cell()
        self._show_matrix()

    # A cell ------------------------------------------------------------------------------------

    def _choose(self, index: QModelIndex) -> None:
        cell = Cell(Table(self.kind.currentData()), index.row(), index.column())
        self.sentence.setText(self.matrix.sentence(index.row(), index.column()))
        self.show_all.setEnabled(True)
        self.cell_chosen.emit(cell)

    def clear_cell(self) -> None:
        """Go back to all pixels and images."""
        self.grid.setCurrentIndex(QModelIndex())
        self.grid.clearSelection()
        self.sentence.setText(self.tr("Click a cell to see its pixels alone."))
        self.show_all.setEnabled(False)
        self.cell_chosen.emit(None)

    # Finding out -------------------------------------------------------------------------------

    def set_busy(self, busy: bool) -> None:
        self.measure.setVisible(not busy)
        self.cancel.setVisible(busy)
        self.progress.setVisible(busy)
        self.progress.setRange(0, 0)

    def show_progress(self, done: int, total: int) -> None:
        self.progress.setRange(0, max(1, total))
        self.progress.setValue(done)


def _column(*widgets: QWidget) -> QWidget:
    page = QWidget()
    layout = QVBoxLayout(page)
    layout.setContentsMargins(4, 6, 4, 4)
    for widget in widgets:
        layout.addWidget(widget, 1 if isinstance(widget, QTableView) else 0)
    return page
