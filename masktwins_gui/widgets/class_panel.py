"""The class table, which is edited in place, with how the labels were understood above it."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QColorDialog,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from masktwins_gui import theme
from masktwins_gui.models.classes import ClassesModel
from masktwins_gui.models.label_document import LabelDocument
from masktwins_gui.widgets.controls import push_button
from masktwins_gui.widgets.tables import plain_table

Index = QModelIndex | QPersistentModelIndex


class MergeDelegate(QStyledItemDelegate):
    """Offers the other classes to merge into."""

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        model = index.model()
        box = QComboBox(parent)
        box.setAccessibleName(self.tr("Merge into"))
        box.addItem(self.tr("– a class of its own –"), "")
        if isinstance(model, ClassesModel):
            for number, row in enumerate(model.rows):
                if row.is_class and number != index.row():
                    box.addItem(row.name, row.name)
        box.setCurrentIndex(max(0, box.findData(index.data())))
        box.activated.connect(lambda _: (self.commitData.emit(box), self.closeEditor.emit(box)))
        return box

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        """Keep what `createEditor` has chosen."""

    def setModelData(self, editor: QWidget, model: object, index: Index) -> None:
        if isinstance(editor, QComboBox) and isinstance(model, ClassesModel):
            model.setData(index, editor.currentData())


class ClassPanel(QWidget):
    """Sends each edit as a new document by `edited`."""

    edited = Signal(object)  # LabelDocument

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.recognition = theme.label("", "muted")
        self.recognition.setWordWrap(True)
        self.model = ClassesModel(self)
        self.table = plain_table("data.classes", self.tr("Classes"))
        self.table.setToolTip(self.tr("F2 or a double click edits a cell; the space bar ticks it"))
        self.table.setModel(self.model)
        self.table.setSelectionBehavior(QTableView.SelectionBehavior.SelectItems)
        triggers = QTableView.EditTrigger
        self.table.setEditTriggers(triggers.DoubleClicked | triggers.EditKeyPressed | triggers.AnyKeyPressed)
        self.table.setItemDelegateForColumn(ClassesModel.MERGED, MergeDelegate(self.table))
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(ClassesModel.NAME, QHeaderView.ResizeMode.Stretch)
        self.colour = push_button(
            "data.classes.colour", self.tr("Colour …"), self.tr("Choose the colour of the class that is selected")
        )
        self.message = theme.label("", "muted")
        self.message.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(self.message, 1)
        row.addWidget(self.colour)
        layout = QVBoxLayout(self)
        layout.addWidget(self.recognition)
        layout.addWidget(self.table, 1)
        layout.addLayout(row)

        self.model.edited.connect(self.edited)
        self.model.refused.connect(self.refuse)
        self.colour.clicked.connect(self._ask_colour)
        self.table.selectionModel().currentChanged.connect(self._update)
        self._hint()

    def show_classes(self, document: LabelDocument | None, recognition: str, shares: Mapping[str, float]) -> None:
        """Fill the table; the cell that was selected stays so."""
        current = self.table.currentIndex()
        self.model.set_document(document, shares)
        self.table.setCurrentIndex(self.model.index(current.row(), current.column()))
        self.recognition.setText(recognition)
        self._hint()
        self._update()

    def set_editable(self, editable: bool) -> None:
        """A run keeps the classes that it was started with."""
        self.model.editable = editable
        self._update()

    def _hint(self) -> None:
        self.message.setText(
            self.tr("Edits are saved as a label space beside the project. Your label files stay as they are.")
        )
        theme.set_role(self.message, "muted")

    def refuse(self, reason: str) -> None:
        """Show why an edit was not taken over."""
        self.message.setText(reason)
        theme.set_role(self.message, "error")

    def _update(self, *_: object) -> None:
        self.colour.setEnabled(self.model.editable and self.table.currentIndex().isValid())

    def _ask_colour(self) -> None:
        row = self.table.currentIndex().row()
        dialog = QColorDialog(QColor(*self.model.rows[row].colour), self)
        dialog.setObjectName("data.classes.colour_dialog")
        dialog.setWindowTitle(self.tr("Colour of {0}").format(self.model.rows[row].name))
        dialog.colorSelected.connect(lambda colour: self.model.colour(row, colour))
        dialog.open()
