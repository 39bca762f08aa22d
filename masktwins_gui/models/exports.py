"""The files of an export with their parity figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor

from masktwins_gui import theme

Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True)
class ExportRow:
    """One written file. `verified` only where it was loaded again and compared."""

    name: str
    size: str
    verified: bool
    figures: str


class ExportsModel(QAbstractTableModel):
    """Rows of (verified, file, size, figures)."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.rows: tuple[ExportRow, ...] = ()
        self._headers = ("", self.tr("File"), self.tr("Size"), self.tr("Loaded again and compared"))

    def set_rows(self, rows: Sequence[ExportRow]) -> None:
        self.beginResetModel()
        self.rows = tuple(rows)
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._headers)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self._headers[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row = self.rows[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return ("✓" if row.verified else "✕", row.name, row.size, row.figures)[index.column()]
            case Qt.ItemDataRole.ForegroundRole if index.column() == 0:
                return QColor(theme.GOOD if row.verified else theme.BAD)
            case Qt.ItemDataRole.ToolTipRole:
                return row.figures
        return None
