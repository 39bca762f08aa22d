"""The files of an export with their parity figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor

from masktwins_gui import theme
from masktwins_gui.plain_text import plain_tip

Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True)
class ExportRow:
    """One file that was written, loaded again and found to say the same as the network.

    `largest_difference`: of a logit. `equal_pixels`: smallest share of pixels with the same class, 0..1.
    """

    name: str
    num_bytes: int
    largest_difference: float
    equal_pixels: float
    samples: tuple[str, ...]


class ExportsModel(QAbstractTableModel):
    """Rows of (tick, file, size, figures); only verified files get here."""

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
                return ("✓", row.name, _size(row.num_bytes), self._figures(row))[index.column()]
            case Qt.ItemDataRole.ForegroundRole if index.column() == 0:
                return QColor(theme.GOOD)
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tip("\n".join(row.samples))
        return None

    def _figures(self, row: ExportRow) -> str:
        return self.tr(
            "{0:.3%} of the pixels get the same class; logits differ by {1:.1e} at most ({2} images)"
        ).format(row.equal_pixels, row.largest_difference, len(row.samples))


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e5 else f"{num_bytes / 1e3:.1f} kB"
