"""A matrix of pixel counts by two classes, as a Qt table."""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor, QPixmap

from masktwins_gui import theme
from masktwins_gui.models.desk import Table
from masktwins_gui.models.services import Classes
from masktwins_gui.plain_text import plain_tip

Index = QModelIndex | QPersistentModelIndex

SWATCH = 10  # pixels


class MatrixModel(QAbstractTableModel):
    """Rows: the class before, or the label. Columns: the class after, or the predicted one. Deeper colour: more pixels."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.table = Table.CHANGES
        self.matrix = np.zeros((0, 0), np.int64)
        self._classes = Classes()
        self._largest = 1

    def set_matrix(self, table: Table, matrix: np.ndarray, classes: Classes) -> None:
        """Show a (C, C) int64 matrix; classes that occur in neither direction keep their row and column."""
        self.beginResetModel()
        self.table, self.matrix, self._classes = table, matrix, classes
        off_diagonal = np.abs(matrix - np.diag(np.diagonal(matrix)))
        self._largest = max(1, int(off_diagonal.max(initial=0)))
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.matrix)

    def columnCount(self, parent: Index | None = None) -> int:
        return self.rowCount(parent)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        name = self._classes.names[section]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return name if orientation == Qt.Orientation.Vertical else name[:4]
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tip(name)
            case Qt.ItemDataRole.DecorationRole if orientation == Qt.Orientation.Vertical:
                swatch = QPixmap(SWATCH, SWATCH)  # headers show pictures alone, no colours
                swatch.fill(QColor(*self._classes.palette[section]))
                return swatch
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row, column = index.row(), index.column()
        pixels = int(self.matrix[row, column])
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return short(pixels, signed=self.table is Table.DIFFERENCE)
            case Qt.ItemDataRole.ToolTipRole | Qt.ItemDataRole.AccessibleTextRole:
                return plain_tip(self.sentence(row, column))
            case Qt.ItemDataRole.BackgroundRole if pixels:
                return self._shade(row, column, pixels)
            case Qt.ItemDataRole.TextAlignmentRole:
                return int(Qt.AlignmentFlag.AlignCenter)
        return None

    def sentence(self, row: int, column: int) -> str:
        """What a cell says, in words."""
        before, after, pixels = self._classes.names[row], self._classes.names[column], int(self.matrix[row, column])
        match self.table:
            case Table.CHANGES if row == column:
                return self.tr("{0:,} pixels stay {1}").format(pixels, before)
            case Table.CHANGES:
                return self.tr("{0:,} pixels change from {1} to {2}").format(pixels, before, after)
            case Table.DIFFERENCE:
                return self.tr("{0:+,} pixels of {1} predicted as {2} by B, compared with A").format(
                    pixels, before, after
                )
        return self.tr("{0:,} pixels of {1} are predicted as {2}").format(pixels, before, after)

    def _shade(self, row: int, column: int, pixels: int) -> QColor:
        """Blue on the diagonal, which is well; orange elsewhere; in a difference green for better, red for worse."""
        colours = theme.colours()
        if self.table is Table.DIFFERENCE:
            colour = QColor(colours.good if (pixels > 0) == (row == column) else colours.bad)
        else:
            colour = QColor(colours.info if row == column else colours.warn)
        share = 0.5 if row == column and self.table is not Table.DIFFERENCE else min(1.0, abs(pixels) / self._largest)
        colour.setAlphaF(0.12 + 0.5 * share**0.5)
        return colour


def short(pixels: int, *, signed: bool = False) -> str:
    """A count in at most five characters: 0 is empty, 1,234 is 1.2k."""
    if pixels == 0:
        return ""
    sign = "−" if pixels < 0 else "+" if signed else ""
    size = abs(pixels)
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            value = size / limit
            return f"{sign}{value:.0f}{unit}" if value >= 10 else f"{sign}{value:.1f}{unit}"
    return f"{sign}{size}"
