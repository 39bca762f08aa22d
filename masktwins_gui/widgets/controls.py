"""Buttons, boxes and sliders with what every control needs: an object name, an accessible name and a tooltip."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from masktwins_gui import theme
from masktwins_gui.plain_text import plain_tip


def describe(control: QWidget, name: str, title: str, tip: str = "") -> None:
    """Name a control for scripts and screen readers, and explain it on hover.

    Args:
        name: object name, such as `masks.reroll`.
        title: accessible name: what the control is, in a few words.
        tip: what it does, in a sentence; the title where nothing more is to be said.
    """
    control.setObjectName(name)
    control.setAccessibleName(title)
    control.setToolTip(plain_tip(tip or title))


def tool_button(name: str, icon: str, tip: str, text: str = "") -> QToolButton:
    """Make a button with an icon; with the text beside it where one is given."""
    button = QToolButton()
    describe(button, name, text or tip, tip)
    button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # by Tab too: Qt's own leaves tool buttons out on some systems
    theme.set_icon(button, icon)
    if text:
        button.setText(text)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    return button


def push_button(name: str, text: str, tip: str, *, primary: bool = False) -> QPushButton:
    """Make a button with a text; `primary` marks the one that the page is for."""
    button = QPushButton(text)
    describe(button, name, text, tip)
    if primary:
        button.setProperty("role", "primary")
    return button


def fold_button(name: str, text: str, tip: str) -> QToolButton:
    """Make a button that shows and hides what is below it; an arrow points where it is."""
    button = QToolButton()
    describe(button, name, text, tip)
    button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    button.setText(text)
    button.setCheckable(True)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    button.setArrowType(Qt.ArrowType.RightArrow)
    button.toggled.connect(
        lambda opened: button.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
    )
    return button


def combo(name: str, title: str, tip: str = "", *, characters: int = 9) -> QComboBox:
    """Make a closed list that stays as wide as so many characters; its entries may be longer."""
    box = QComboBox()
    describe(box, name, title, tip)
    box.setMinimumContentsLength(characters)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return box


def check_box(name: str, text: str, tip: str) -> QCheckBox:
    box = QCheckBox(text)
    describe(box, name, text, tip)
    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return box


def slider(name: str, title: str, value: int, tip: str = "", *, largest: int = 100) -> QSlider:
    """Make a horizontal slider from 0 to `largest`."""
    made = QSlider(Qt.Orientation.Horizontal)
    describe(made, name, title, tip)
    made.setRange(0, largest)
    made.setValue(value)
    return made


def scrolled(widget: QWidget) -> QScrollArea:
    """Put a widget at the top of an area that scrolls up and down."""
    inner = QWidget()
    column = QVBoxLayout(inner)
    column.setContentsMargins(10, 10, 14, 10)
    column.addWidget(widget)
    column.addStretch(1)
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(inner)
    return area


def undoes_the_project(watched: QObject, event: QEvent) -> bool:
    """Filter an event: keep Ctrl+Z from a line whose text has been taken over, so that it undoes that change.

    Qt's line edits take the key even where they have nothing of their own to undo but what was typed before.
    """
    if event.type() != QEvent.Type.ShortcutOverride or not isinstance(event, QKeyEvent):
        return False
    line = watched if isinstance(watched, QLineEdit) else watched.findChild(QLineEdit)  # of a spin box or a combo
    keys = (QKeySequence.StandardKey.Undo, QKeySequence.StandardKey.Redo)
    if line is None or line.isModified() or not any(event.matches(key) for key in keys):
        return False
    event.ignore()
    return True
