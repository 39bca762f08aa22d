"""Tables by class: colour, name and share in the data; and IoU of two models with its difference."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QColor

from core.events import Scores
from core.labels import LabelSpace
from masktwins_gui import theme
from masktwins_gui.models.tables import NUMBER, TableModel

Colour = tuple[int, int, int]


class ClassesModel(TableModel[int]):
    """One row per class of a label space: id, name with its colour, share of the labelled pixels."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.space: LabelSpace | None = None
        self._shares: Mapping[str, float] = {}

    def set_space(self, space: LabelSpace | None, shares: Mapping[str, float] | None = None) -> None:
        """`shares`: by class name, 0..1."""
        self.space, self._shares = space, dict(shares or {})
        self.set_rows(range(space.num_classes) if space else ())

    def headers(self) -> Sequence[str]:
        return self.tr("Id"), self.tr("Class"), self.tr("Share")

    def cell(self, row: int, column: int, role: int) -> Any:
        assert self.space is not None
        name = self.space.classes[row]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return (row, name, _percent(self._shares.get(name)))[column]
            case Qt.ItemDataRole.DecorationRole if column == 1:
                return QColor(*self.space.palette[row])
            case Qt.ItemDataRole.TextAlignmentRole if column != 1:
                return NUMBER
        return None


ScoreRow = tuple[str, float, float, Colour | None]  # class, IoU of A and of B in percent, the class' colour


class ScoresModel(TableModel[ScoreRow]):
    """IoU of two models by class, and the difference; the last row is the mean."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._titles = ("A", "B")

    def set_scores(self, first: Scores | None, second: Scores | None, palette: Sequence[Colour]) -> None:
        if not first or not second:
            self.set_rows(())
            return
        colours = itertools.chain(palette, itertools.repeat(None))
        rows: list[ScoreRow] = [
            (name, score, second.per_class.get(name, math.nan), colour)
            for (name, score), colour in zip(first.per_class.items(), colours, strict=False)
        ]
        self.set_rows([*rows, (self.tr("mean IoU"), first.miou, second.miou, None)])

    def set_titles(self, first: str, second: str) -> None:
        self._titles = first, second
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 1, 2)

    def headers(self) -> Sequence[str]:
        return self.tr("Class"), *self._titles, "B − A"

    def cell(self, row: ScoreRow, column: int, role: int) -> Any:
        name, first, second, colour = row
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return (name, _score(first), _score(second), _score(second - first, sign=True))[column]
            case Qt.ItemDataRole.DecorationRole if column == 0 and colour is not None:
                return QColor(*colour)
            case Qt.ItemDataRole.ForegroundRole if column == 3 and abs(second - first) >= 0.05:
                return QColor(theme.colours().good if second > first else theme.colours().bad)
            case Qt.ItemDataRole.TextAlignmentRole if column:
                return NUMBER
        return None


def _percent(share: float | None) -> str:
    if share is None or math.isnan(share):
        return "–"
    return f"{share * 100:.1f} %" if share >= 0.0005 or share == 0 else "< 0.1 %"


def _score(value: float, *, sign: bool = False) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:+.1f}" if sign else f"{value:.1f}"
