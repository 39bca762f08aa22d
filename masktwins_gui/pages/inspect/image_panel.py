"""The list of images at the left of the compare desk: filtered by name, or by a cell of the matrix, and sorted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QModelIndex, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QLineEdit, QListView, QVBoxLayout, QWidget

from core.dataset.folders import Pair
from masktwins_gui import theme
from masktwins_gui.models.desk import Cell, DeskModel, Order
from masktwins_gui.models.images import ImagesModel
from masktwins_gui.models.pictures import thumbnail
from masktwins_gui.models.services import Jobs
from masktwins_gui.widgets.controls import combo, describe

AHEAD = 2  # neighbours in the direction of travel; one in the other


class ImagePanel(QWidget):
    """Keeps the image that is looked at current whatever the order, as long as the filter lets it through."""

    chosen = Signal(object)  # Pair, or None when the list is empty

    def __init__(self, desk: DeskModel, jobs: Jobs, origin: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk, self._jobs = desk, jobs
        self._all: tuple[Pair, ...] = ()
        self._cell: Cell | None = None
        self._subset: frozenset[Path] | None = None
        self._told: Pair | None = None
        self._direction = 1
        self.images = ImagesModel(self)
        self.filter = QLineEdit()
        describe(self.filter, "inspect.filter", self.tr("Filter the images by name"))
        self.filter.setPlaceholderText(self.tr("Filter by name"))
        self.filter.setClearButtonEnabled(True)
        self.order = combo(
            "inspect.order",
            self.tr("Sort the images"),
            self.tr("Sort by what is known of A and B; “Compare all” finds it out for every image"),
        )
        for order, title in self._titles().items():
            self.order.addItem(title, order)
        self.list = QListView()
        describe(self.list, "inspect.images", self.tr("Images"), self.tr("Images that A and B are compared on"))
        self.list.setModel(self.images)
        self.list.setUniformItemSizes(True)
        self.list.setIconSize(QSize(60, 45))
        self.list.setSpacing(1)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.note = theme.label("", "muted")
        self.note.setWordWrap(True)
        self.note.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (origin, self.filter, self.order, self.note, self.list):
            column.addWidget(widget)
        self.filter.textChanged.connect(self._arrange)
        self.order.currentIndexChanged.connect(self._arrange)
        self.images.wanted.connect(self._make_thumbnail)
        self.list.selectionModel().currentChanged.connect(self._on_current)

    def _titles(self) -> dict[Order, str]:
        return {
            Order.NAME: self.tr("By name"),
            Order.CHANGE: self.tr("By change"),
            Order.DISAGREEMENT: self.tr("By disagreement"),
            Order.CONFIDENCE: self.tr("By confidence of B"),
            Order.ENTROPY: self.tr("By entropy of B"),
            Order.GAIN: self.tr("By IoU lost"),
        }

    # What is listed ----------------------------------------------------------------------------

    @property
    def pair(self) -> Pair | None:
        """The image that is looked at."""
        index = self.list.currentIndex()
        return self.images.pairs[index.row()] if index.isValid() else None

    @property
    def shown(self) -> Sequence[Pair]:
        return self.images.pairs

    @property
    def all(self) -> Sequence[Pair]:
        return self._all

    def set_pairs(self, pairs: Sequence[Pair]) -> None:
        """List other images."""
        if tuple(pairs) != self._all:
            self._all = tuple(pairs)
            self._subset = None
            self.images.set_pairs(())  # thumbnails of a changed file must not stay
            self._arrange()

    def set_cell(self, cell: Cell | None) -> None:
        """List only the images with pixels in a cell of the matrix, those with most of them first."""
        self._cell = cell
        self._arrange()

    def set_subset(self, images: frozenset[Path] | None) -> None:
        """List only some images: a group, or what a lasso holds; all without."""
        self._subset = images
        self._arrange()

    def choose(self, pair: Pair) -> None:
        """Turn to an image, if it is listed."""
        if (row := self.images.row_of(pair)) >= 0:
            self.list.setCurrentIndex(self.images.index(row))

    def refresh(self) -> None:
        """Sort again, as more is known."""
        if self._cell is not None or self.order.currentData() is not Order.NAME:
            self._arrange()

    def step(self, by: int) -> None:
        """Go to another image, up or down the list."""
        row = self.list.currentIndex().row() + by
        if 0 <= row < self.images.rowCount():
            self.list.setCurrentIndex(self.images.index(row))

    def neighbours(self) -> list[Pair]:
        """The images that are likely to be looked at next, the likeliest first."""
        row, pairs, way = self.list.currentIndex().row(), self.images.pairs, self._direction
        rows = [*(row + way * distance for distance in range(1, AHEAD + 1)), row - way]
        return [pairs[r] for r in rows if 0 <= r < len(pairs)]

    def picture(self) -> QImage:
        """The thumbnail of the image that is looked at; without pixels where there is none yet."""
        index = self.list.currentIndex()
        return self.images.picture_of(index.row()) if index.isValid() else QImage()

    # Inside ------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        text, order = self.filter.text().lower(), Order(self.order.currentData())
        kept = self.pair or self._told
        subset = self._subset
        named = [p for p in self._all if text in p.name.lower() and (subset is None or p.image in subset)]
        pairs = self._desk.sorted(named, order, self._cell)
        notes = self._notes(pairs, order)
        self._say(len(pairs))
        if tuple(pairs) == self.images.pairs and not notes:
            return
        blocker = QSignalBlocker(self.list.selectionModel())
        self.images.rearrange(pairs, notes)
        row = max(0, self.images.row_of(kept))
        if pairs:
            self.list.setCurrentIndex(self.images.index(row))
        blocker.unblock()
        self.list.viewport().update()
        self._tell()

    def _notes(self, pairs: Sequence[Pair], order: Order) -> dict[Path, str]:
        """A second line under each name: the figure that the list is sorted by."""
        if self._cell is not None:
            cell = self._cell
            return {pair.image: self.tr("{0:,} px").format(self._desk.pixels(pair, cell)) for pair in pairs}
        if order is Order.NAME:
            return {}
        values = {pair.image: self._desk.value(pair, order) for pair in pairs}
        form = "{0:+.1%}" if order is Order.GAIN else "{0:.1%}"
        return {image: "–" if value is None else form.format(value) for image, value in values.items()}

    def _say(self, num_shown: int) -> None:
        """Explain a list that is empty or shorter than all."""
        text = ""
        if self._cell is not None:
            text = self.tr("{0} images with this change").format(num_shown)
        elif self._all and not num_shown:
            text = self.tr("No name holds this text.")
        elif self._subset is not None:
            text = self.tr("{0} of {1} images").format(num_shown, len(self._all))
        self.note.setText(text)
        self.note.setVisible(bool(text))

    def _on_current(self, current: QModelIndex, previous: QModelIndex) -> None:
        if current.isValid() and previous.isValid():
            self._direction = 1 if current.row() >= previous.row() else -1
        self._tell()

    def _tell(self) -> None:
        if self.pair != self._told:
            self._told = self.pair
            self.chosen.emit(self.pair)

    def _make_thumbnail(self, row: int) -> None:
        pair, generation = self.images.pairs[row], self.images.generation

        def show(image: QImage) -> None:
            self.images.set_thumbnail(generation, row, image)

        def fail(message: str, details: str) -> None:
            self.images.set_broken(generation, row)

        self._jobs.submit(f"inspect {generation} {row}", lambda _: thumbnail(pair, None, 0.0), show, fail)
