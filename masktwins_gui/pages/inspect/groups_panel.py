"""The images of the compare desk in groups, with scores per group."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QModelIndex, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHeaderView, QVBoxLayout, QWidget

from core.dataset.folders import Pair
from masktwins_gui import theme
from masktwins_gui.models.desk import DeskModel
from masktwins_gui.models.groups import GroupBy, GroupsModel
from masktwins_gui.widgets.controls import combo, push_button
from masktwins_gui.widgets.tables import plain_table


class GroupsPanel(QWidget):
    """A table of groups; choosing one lists its images alone."""

    subset_chosen = Signal(object)  # frozenset of image paths, or None for all

    def __init__(self, desk: DeskModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._all: Sequence[Pair] = ()
        self.by = combo(
            "inspect.group_by",
            self.tr("Group the images"),
            self.tr("By the mean brightness of the image, or by the folder it lies in"),
        )
        self.by.addItem(self.tr("By brightness"), GroupBy.BRIGHTNESS)
        self.by.addItem(self.tr("By folder"), GroupBy.FOLDER)
        self.groups = GroupsModel(self)
        self.table = plain_table("inspect.groups", self.tr("Groups with change and mean IoU, in percent"))
        self.table.setModel(self.groups)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.note = theme.label(
            self.tr("Change and mean IoU in percent, over the images compared so far. Click a group to list it alone."),
            "muted",
        )
        self.note.setWordWrap(True)
        self.show_all = push_button("inspect.all_groups", self.tr("Show all images"), self.tr("List all images again"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 6, 4, 4)
        for widget in (self.by, self.table, self.note, self.show_all):
            layout.addWidget(widget)
        self.by.currentIndexChanged.connect(self.draw)
        self.table.clicked.connect(self._choose)
        self.table.activated.connect(self._choose)
        self.show_all.clicked.connect(lambda: self.subset_chosen.emit(None))

    def set_pairs(self, pairs: Sequence[Pair]) -> None:
        self._all = pairs
        self.draw()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.draw()

    def draw(self) -> None:
        """Show what is known by now, if anybody sees it."""
        if self.isVisible():
            self.groups.show(self._desk, self._all, GroupBy(self.by.currentData()))

    def _choose(self, index: QModelIndex) -> None:
        self.subset_chosen.emit(self.groups.rows[index.row()].images)
