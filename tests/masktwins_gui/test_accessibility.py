"""Every control of every page and dialog says what it is, on hover and to a screen reader, and Tab reaches it."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QDialog,
    QGraphicsView,
    QHeaderView,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QScrollBar,
    QTabBar,
    QTextBrowser,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from masktwins_gui.main_window import PAGES
from masktwins_gui.widgets.error_dialog import ErrorDialog
from masktwins_gui.widgets.help_window import HelpWindow
from masktwins_gui.widgets.image_view import ImageView
from masktwins_gui.widgets.report_dialog import ReportDialog
from masktwins_gui.widgets.settings_dialog import SettingsDialog

CONTROLS = (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QGraphicsView,
    QLineEdit,
    QPlainTextEdit,
    QTextBrowser,
    QProgressBar,
    ImageView,
)
PARTS = (QScrollBar, QHeaderView)  # of a control, which is named itself


def is_part(widget: QWidget) -> bool:
    """Whether a widget belongs to a control and has no name of its own in Qt."""
    if isinstance(widget, PARTS) or widget.objectName().startswith("qt_"):
        return True
    parent = widget.parentWidget()
    while parent is not None:
        if isinstance(parent, QComboBox | QAbstractSpinBox | QAbstractItemView | QTabBar | QLineEdit):
            return True
        parent = parent.parentWidget()
    return False


def controls(root: QWidget) -> list[QWidget]:
    return [w for w in root.findChildren(QWidget) if isinstance(w, CONTROLS) and not is_part(w)]


def name_of(widget: QWidget) -> str:
    """What a screen reader is told."""
    interface = QAccessible.queryAccessibleInterface(widget)
    return interface.text(QAccessible.Text.Name).strip() if interface is not None else ""


def where(widget: QWidget) -> str:
    parents, parent = [], widget
    while parent is not None and len(parents) < 4:
        parents.append(parent.objectName() or type(parent).__name__)
        parent = parent.parentWidget()
    return " in ".join(parents)


def explained(widget: QWidget) -> bool:
    """A tool tip of its own, or of what it stands in: a field's tip covers its parts."""
    while widget is not None and not widget.isWindow():
        if widget.toolTip():
            return True
        widget = widget.parentWidget()
    return False


def silent(root: QWidget) -> list[str]:
    return [where(control) for control in controls(root) if not name_of(control)]


def unexplained(root: QWidget) -> list[str]:
    interactive = [c for c in controls(root) if not isinstance(c, QProgressBar)]
    return [where(c) for c in interactive if not explained(c) and c.objectName() != "qt_dialog"]


DIALOGS = {
    "error": lambda: ErrorDialog("It failed", "why", "what to do", "Traceback"),
    "report": lambda: ReportDialog("text"),
    "help": HelpWindow,
}


@pytest.mark.parametrize("page", PAGES)
def test_every_control_of_a_page_is_named_and_explained(make_window, page):
    window = make_window()
    shown = window.pages[page]
    assert controls(shown)
    assert not (found := silent(shown)), "\n".join(found)
    assert not (found := unexplained(shown)), "\n".join(found)


def test_the_rail_and_the_menus_are_named(make_window):
    window = make_window()
    assert silent(window.rail) == []
    assert unexplained(window.rail) == []
    actions = [
        action for menu in window.menuBar().actions() for action in menu.menu().actions() if not action.isSeparator()
    ]
    assert all(action.text() and (action.objectName() or action.menu()) for action in actions)


@pytest.mark.parametrize("dialog", DIALOGS)
def test_every_control_of_a_dialog_is_named(qtbot, dialog):
    made = DIALOGS[dialog]()
    qtbot.addWidget(made)
    assert silent(made) == []


def test_the_settings_are_named_and_explained(make_window):
    window = make_window()
    window.menus.settings.trigger()
    dialog = window.findChild(SettingsDialog)
    assert silent(dialog) == []
    named = [c for c in controls(dialog) if c.parentWidget().objectName() != "qt_dialogbuttonbox" and c.objectName()]
    assert [where(c) for c in named if not explained(c)] == []
    dialog.close()


@pytest.mark.parametrize("page", PAGES)
def test_tab_reaches_every_control_of_a_page(make_window, page):
    window = make_window()
    window.show_page(page)
    shown = window.pages[page]
    chain, widget = [], shown
    while (widget := widget.nextInFocusChain()) is not shown and len(chain) < 20_000:
        chain.append(widget)
    missed = [
        where(control)
        for control in controls(shown)
        if (not isinstance(control, QProgressBar) and control not in chain)
        or not (control.focusPolicy() & Qt.FocusPolicy.TabFocus or isinstance(control, QProgressBar | QGraphicsView))
    ]
    assert missed == []


def test_a_silent_control_is_found(qtbot):
    root = QDialog()
    qtbot.addWidget(root)
    layout = QVBoxLayout(root)
    layout.addWidget(QToolButton())
    assert len(silent(root)) == len(unexplained(root)) == 1
