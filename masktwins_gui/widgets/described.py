"""A combo box whose list shows what each entry means, while the closed box shows its name."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtWidgets import QComboBox, QStyledItemDelegate, QStyleOptionViewItem

WIDEST = 620  # px


class _Descriptions(QStyledItemDelegate):
    """Shows an entry's tool tip in place of its text, where it has one."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        super().initStyleOption(option, index)
        if description := index.data(Qt.ItemDataRole.ToolTipRole):
            option.text = description  # pyright: ignore[reportAttributeAccessIssue] - Qt's struct


def describe_entries(box: QComboBox) -> None:
    """Make the list of a filled box show the entries' tool tips, as wide as they are."""
    view = box.view()
    view.setItemDelegate(_Descriptions(box))
    view.setTextElideMode(Qt.TextElideMode.ElideRight)
    texts = [str(box.itemData(i, Qt.ItemDataRole.ToolTipRole) or box.itemText(i)) for i in range(box.count())]
    view.setMinimumWidth(min(WIDEST, max(map(view.fontMetrics().horizontalAdvance, texts)) + 24))
