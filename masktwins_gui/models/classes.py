"""Tables by class: colour, name and share in the data; and IoU of two models with its difference."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor

from core.events import Scores
from core.labels import LabelSpace, LabelSpaceError
from masktwins_gui import theme
from masktwins_gui.models.label_document import ClassRow, LabelDocument
from masktwins_gui.models.tables import NUMBER, Index, TableModel

Colour = tuple[int, int, int]


class ClassesModel(TableModel[ClassRow]):
    """The classes of the label files. An edit is sent as a new document by `edited`; the model waits to be given it."""

    edited = Signal(object)  # LabelDocument
    refused = Signal(str)  # why an edit is not possible

    NAME, SHARE, COUNTS, IGNORED, MERGED = range(5)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.document: LabelDocument | None = None
        self.editable = True
        self._shares: Mapping[str, float] = {}

    @property
    def space(self) -> LabelSpace | None:
        return None if self.document is None else self.document.space

    def set_document(self, document: LabelDocument | None, shares: Mapping[str, float] | None = None) -> None:
        """Show the classes of a document; `shares`: of the labelled pixels, by class name, 0..1."""
        self.document, self._shares = document, dict(shares or {})
        self.set_rows(document.rows if document else ())

    def headers(self) -> Sequence[str]:
        return self.tr("Class"), self.tr("Share"), self.tr("In the mean"), self.tr("Ignore"), self.tr("Merge into")

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole:
            return (
                self.tr("Press F2 to rename a class; choose its colour with the button below"),
                self.tr("Share of the labelled source pixels, as the check has counted them"),
                self.tr("Whether the class counts in the mean IoU; it is trained either way"),
                self.tr("Pixels of the class are treated as unlabelled"),
                self.tr("Pixels of the class count as another class"),
            )[section]
        return super().headerData(section, orientation, role)

    def cell(self, row: ClassRow, column: int, role: int) -> Any:
        match role:
            case Qt.ItemDataRole.DisplayRole if column == self.SHARE:
                return _percent(self._shares.get(row.name)) if row.is_class else ""
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.EditRole if column in (self.NAME, self.MERGED):
                return row.merged_into if column == self.MERGED else row.name
            case Qt.ItemDataRole.CheckStateRole if column in (self.COUNTS, self.IGNORED):
                on = row.ignored if column == self.IGNORED else row.counts and row.is_class
                return (Qt.CheckState.Checked if on else Qt.CheckState.Unchecked).value  # Qt wants the number
            case Qt.ItemDataRole.DecorationRole if column == self.NAME:
                return QColor(*row.colour)
            case Qt.ItemDataRole.ForegroundRole if not row.is_class:
                return QColor(theme.colours().muted)
            case Qt.ItemDataRole.TextAlignmentRole if column == self.SHARE:
                return NUMBER
            case Qt.ItemDataRole.AccessibleTextRole:
                return f"{row.name}: {self.headers()[column]}"
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        if not index.isValid():
            return Qt.ItemFlag.NoItemFlags
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if not self.editable:
            return flags
        row = self.rows[index.row()]
        if index.column() in (self.NAME, self.MERGED):
            return flags | Qt.ItemFlag.ItemIsEditable
        if index.column() == self.IGNORED or (index.column() == self.COUNTS and row.is_class):
            return flags | Qt.ItemFlag.ItemIsUserCheckable
        return flags

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if self.document is None or not self.editable:
            return False
        document, row = self.document, index.row()
        match index.column(), role:
            case self.NAME, Qt.ItemDataRole.EditRole:
                return self._edit(lambda: document.renamed(row, str(value)))
            case self.COUNTS, Qt.ItemDataRole.CheckStateRole:
                return self._edit(lambda: document.counted(row, Qt.CheckState(value) is Qt.CheckState.Checked))
            case self.IGNORED, Qt.ItemDataRole.CheckStateRole:
                return self._edit(lambda: document.ignored(row, Qt.CheckState(value) is Qt.CheckState.Checked))
            case self.MERGED, Qt.ItemDataRole.EditRole:
                return self._edit(lambda: document.merged(row, str(value)))
        return False

    def colour(self, row: int, colour: QColor) -> bool:
        """Give a class another colour on screen."""
        document = self.document
        red, green, blue = colour.red(), colour.green(), colour.blue()
        return document is not None and self.editable and self._edit(lambda: document.coloured(row, (red, green, blue)))

    def _edit(self, edit: Callable[[], LabelDocument]) -> bool:
        try:
            document = edit()
        except LabelSpaceError as error:
            self.refused.emit(str(error))
            return False
        if document.rows == self.rows:
            return False
        self.edited.emit(document)
        return True


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
