"""Tables that are read, not edited."""

from __future__ import annotations

from PySide6.QtWidgets import QHeaderView, QTableView

from masktwins_gui.widgets.controls import describe


def plain_table(name: str, title: str) -> QTableView:
    """A table of whole rows that fit their text.

    Args:
        name: object name.
        title: accessible name.
    """
    table = QTableView()
    describe(table, name, title)
    table.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QTableView.SelectionMode.SingleSelection)
    table.setEditTriggers(QTableView.EditTrigger.NoEditTriggers)
    table.setShowGrid(False)
    table.setWordWrap(True)
    table.setTabKeyNavigation(False)
    table.verticalHeader().hide()
    table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    return table
