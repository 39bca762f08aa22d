"""Tables by class: colour, name and share in the data; and IoU of two models with its difference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor

from core.events import Scores
from core.labels import LabelSpace
from masktwins_gui import theme

Index = QModelIndex | QPersistentModelIndex
Colour = tuple[int, int, int]


class ClassesModel(QAbstractTableModel):
    """One row per class of a label space: id, name with its colour, share of the labelled pixels."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.space: LabelSpace | None = None
        self._shares: Mapping[str, float] = {}
        self._headers = (self.tr("Id"), self.tr("Class"), self.tr("Share"))

    def set_space(self, space: LabelSpace | None, shares: Mapping[str, float] | None = None) -> None:
        """`shares`: by class name, 0..1."""
        self.beginResetModel()
        self.space, self._shares = space, dict(shares or {})
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if (parent is not None and parent.isValid()) or self.space is None else self.space.num_classes

    def columnCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._headers)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self._headers[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or self.space is None:
            return None
        row, column = index.row(), index.column()
        name = self.space.classes[row]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return (row, name, _percent(self._shares.get(name)))[column]
            case Qt.ItemDataRole.DecorationRole if column == 1:
                return QColor(*self.space.palette[row])
            case Qt.ItemDataRole.TextAlignmentRole if column != 1:
                return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None


class ScoresModel(QAbstractTableModel):
    """IoU of two models by class, and the difference; the last row is the mean."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[tuple[str, float, float]] = []
        self._palette: Sequence[Colour] = ()
        self._headers = [self.tr("Class"), "A", "B", "B − A"]

    def set_scores(self, first: Scores | None, second: Scores | None, palette: Sequence[Colour]) -> None:
        self.beginResetModel()
        self._palette, self._rows = palette, []
        if first and second:
            self._rows = [(n, first.per_class[n], second.per_class.get(n, math.nan)) for n in first.per_class]
            self._rows.append((self.tr("mean IoU"), first.miou, second.miou))
        self.endResetModel()

    def set_titles(self, first: str, second: str) -> None:
        self._headers[1:3] = [first, second]
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 1, 2)

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._headers)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self._headers[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row, column = index.row(), index.column()
        name, first, second = self._rows[row]
        is_mean = row == len(self._rows) - 1
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return (name, _score(first), _score(second), _score(second - first, sign=True))[column]
            case Qt.ItemDataRole.DecorationRole if column == 0 and not is_mean and row < len(self._palette):
                return QColor(*self._palette[row])
            case Qt.ItemDataRole.ForegroundRole if column == 3 and abs(second - first) >= 0.05:
                return QColor(theme.GOOD if second > first else theme.BAD)
            case Qt.ItemDataRole.TextAlignmentRole if column:
                return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None


def _percent(share: float | None) -> str:
    if share is None or math.isnan(share):
        return "–"
    return f"{share * 100:.1f} %" if share >= 0.0005 or share == 0 else "< 0.1 %"


def _score(value: float, *, sign: bool = False) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:+.1f}" if sign else f"{value:.1f}"
