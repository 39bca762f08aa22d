"""The menus: what each entry is called, its key, and its name for scripts."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar

Keys = QKeySequence.StandardKey


class Menus(QObject):
    """Fills a menu bar. The actions are public: the window connects them."""

    def __init__(self, bar: QMenuBar) -> None:
        super().__init__(bar)
        file = bar.addMenu(self.tr("&File"))
        self.new = _action(file, "file.new", self.tr("&New project"), Keys.New)
        self.open = _action(file, "file.open", self.tr("&Open …"), Keys.Open)
        self.recent = file.addMenu(self.tr("Open &recent"))
        self.demo = _action(file, "file.demo", self.tr("Open the &demo"))
        file.addSeparator()
        self.save = _action(file, "file.save", self.tr("&Save"), Keys.Save)
        self.save_as = _action(file, "file.save_as", self.tr("Save &as …"), Keys.SaveAs)
        file.addSeparator()
        self.quit = _action(file, "file.quit", self.tr("&Quit"), Keys.Quit)
        edit = bar.addMenu(self.tr("&Edit"))
        self.undo = _action(edit, "edit.undo", self.tr("&Undo"), Keys.Undo)
        self.redo = _action(edit, "edit.redo", self.tr("&Redo"), Keys.Redo)
        edit.addSeparator()
        self.settings = _action(edit, "edit.settings", self.tr("&Settings …"), "Ctrl+,")
        view = bar.addMenu(self.tr("&View"))
        self.theme = _action(view, "view.theme", self.tr("Switch &theme"), "Ctrl+T")
        self.layout = _action(view, "view.layout", self.tr("Reset the &layout"))
        help_menu = bar.addMenu(self.tr("&Help"))
        self.chapter = _action(help_menu, "help.chapter", self.tr("About this &page"), Keys.HelpContents)
        self.guide = _action(help_menu, "help.guide", self.tr("&User guide"))
        help_menu.addSeparator()
        self.report = _action(help_menu, "help.report", self.tr("&Report a problem …"))
        self.about = _action(help_menu, "help.about", self.tr("&About MaskTwins"))


def _action(menu: QMenu, name: str, text: str, keys: QKeySequence.StandardKey | str | None = None) -> QAction:
    action = menu.addAction(text)
    action.setObjectName(name)
    if keys is not None:
        action.setShortcut(QKeySequence(keys))
    return action
