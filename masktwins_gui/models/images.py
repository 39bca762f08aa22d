"""A list of images with thumbnails that are made when they are first looked at."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QImage, QPainter, QPixmap

from core.dataset.folders import Pair
from masktwins_gui import theme
from masktwins_gui.plain_text import plain_tip

Index = QModelIndex | QPersistentModelIndex
THUMBNAIL = QSize(128, 96)
KEPT = 600


class ImagesModel(QAbstractListModel):
    """Pairs by name. `wanted` asks for the thumbnail of a row; `set_thumbnail` brings it."""

    wanted = Signal(int)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.pairs: tuple[Pair, ...] = ()
        self.generation = 0  # thumbnails asked for before the last `set_pairs` are not taken
        self._pictures: OrderedDict[Path, QIcon] = OrderedDict()
        self._notes: Mapping[Path, str] = {}
        self._asked: set[int] = set()
        blank = QPixmap(THUMBNAIL)
        blank.fill(Qt.GlobalColor.transparent)
        self._blank = QIcon(blank)

    def set_pairs(self, pairs: Sequence[Pair]) -> None:
        self.beginResetModel()
        self.pairs = tuple(pairs)
        self.generation += 1
        self._pictures.clear()
        self._notes = {}
        self._asked.clear()
        self.endResetModel()

    def rearrange(self, pairs: Sequence[Pair], notes: Mapping[Path, str]) -> None:
        """Show the same images, or some of them, in another order; their thumbnails stay.

        Args:
            notes: a second line under a name, by image.
        """
        self.beginResetModel()
        self.pairs, self._notes = tuple(pairs), notes
        self.generation += 1
        self._asked.clear()
        self.endResetModel()

    def row_of(self, pair: Pair | None) -> int:
        """The row of an image; −1 where it is not in the list."""
        return next((row for row, other in enumerate(self.pairs) if other == pair), -1)

    def picture_of(self, row: int) -> QImage:
        """The thumbnail of a row; without pixels where there is none yet."""
        icon = self._pictures.get(self.pairs[row].image)
        return icon.pixmap(THUMBNAIL).toImage() if icon else QImage()

    def set_thumbnail(self, generation: int, row: int, image: QImage) -> None:
        """Show a thumbnail; GUI thread only, as it makes a pixmap."""
        if generation != self.generation:
            return
        self._asked.discard(row)
        self._pictures[self.pairs[row].image] = QIcon(QPixmap.fromImage(image))  # an icon follows the view's icon size
        while len(self._pictures) > KEPT:
            self._pictures.popitem(last=False)
        index = self.index(row)
        self.dataChanged.emit(index, index, [Qt.ItemDataRole.DecorationRole])

    def set_broken(self, generation: int, row: int) -> None:
        """Show that an image cannot be read; the check says why."""
        picture = QImage(THUMBNAIL, QImage.Format.Format_ARGB32)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        painter.setPen(QColor(theme.colours().bad))
        painter.drawRect(0, 0, THUMBNAIL.width() - 1, THUMBNAIL.height() - 1)
        painter.drawText(picture.rect(), Qt.AlignmentFlag.AlignCenter, self.tr("cannot be read"))
        painter.end()
        self.set_thumbnail(generation, row, picture)

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.pairs)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row = index.row()
        pair = self.pairs[row]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                note = self._notes.get(pair.image)
                return f"{pair.name}\n{note}" if note else pair.name
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tip(str(pair.image) if pair.label is None else f"{pair.image}\n{pair.label}")
            case Qt.ItemDataRole.DecorationRole:
                return self._thumbnail(row)
        return None

    def _thumbnail(self, row: int) -> QIcon:
        if (icon := self._pictures.get(self.pairs[row].image)) is not None:
            return icon
        if row not in self._asked:
            self._asked.add(row)
            self.wanted.emit(row)
        return self._blank
