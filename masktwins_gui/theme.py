"""Colours, style sheet and icons of the window, dark and light. The widgets that paint themselves read the palette."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

from PySide6.QtCore import QByteArray, QObject, QSize, Qt
from PySide6.QtGui import QAction, QColor, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QWidget

log = logging.getLogger(__name__)

GOOD, WARN, BAD, INFO = "#3fa870", "#d18b1f", "#e05252", "#3d8fd9"  # readable on both themes
SERIES = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#8c8c3a")  # Okabe–Ito: colour-blind safe
ICON_PROPERTY = "icon_name"


class Theme(StrEnum):
    DARK = "dark"
    LIGHT = "light"


@dataclass(frozen=True)
class Colours:
    window: str
    surface: str
    raised: str
    border: str
    text: str
    muted: str
    accent: str
    accent_text: str


COLOURS = {
    Theme.DARK: Colours("#19232d", "#141c24", "#222e3a", "#37414f", "#dfe1e2", "#9da9b5", "#346792", "#ffffff"),
    Theme.LIGHT: Colours("#fafafa", "#ffffff", "#eef0f2", "#c9ced3", "#19232d", "#5d6b78", "#9fcbff", "#0c1c2c"),
}

EXTRA = """
QWidget[role="title"] {{ font-size: 15pt; font-weight: 600; }}
QLabel[role="heading"] {{ font-weight: 600; }}
QLabel[role="muted"] {{ color: {muted}; }}
QLabel[role="error"] {{ color: {bad}; }}
QLabel[role="warn"] {{ color: {warn}; }}
QLabel[role="good"] {{ color: {good}; }}
QFrame[role="card"] {{ background: {surface}; border: 1px solid {border}; border-radius: 6px; }}
QFrame[role="card"] QLabel {{ background: transparent; border: none; }}
QFrame[role="card"] QCheckBox {{ background: transparent; }}
QFrame[role="banner"] {{ background: {raised}; border: 1px solid {warn}; border-radius: 6px; }}
QFrame[role="banner"] QLabel {{ background: transparent; border: none; }}
QFrame[role="rail"] {{ background: {surface}; border: none; border-right: 1px solid {border}; border-radius: 0px; }}
QFrame[role="rail"] QLabel {{ background: transparent; }}
QFrame[role="rail"] QToolButton {{ background: transparent; border: none; border-radius: 6px; text-align: left;
    padding: 4px 6px; }}
QFrame[role="rail"] QToolButton:hover {{ background: {raised}; }}
QFrame[role="rail"] QToolButton:focus {{ border: 1px solid {accent}; }}
QFrame[role="rail"] QToolButton[role="page"] {{ padding: 0px 10px; font-size: 11pt; }}
QFrame[role="rail"] QToolButton[role="page"]:checked {{ background: {accent}; color: {accent_text}; }}
QFrame[role="rail"] QToolButton::menu-indicator {{ image: none; }}
QPushButton, QPushButton:disabled, QPushButton:hover, QPushButton:pressed {{ padding: 5px 12px; min-height: 18px; }}
QPushButton[role="primary"], QToolButton[role="primary"] {{ background: {accent}; color: {accent_text};
    font-weight: 600; }}
QPushButton[role="primary"]:disabled, QToolButton[role="primary"]:disabled {{ background: {raised}; color: {muted}; }}
QLineEdit[invalid="true"], QComboBox[invalid="true"] {{ border: 1px solid {bad}; }}
QMenuBar {{ background-color: {surface}; border: none; border-bottom: 1px solid {border}; }}
QStatusBar {{ background-color: {surface}; border: none; border-top: 1px solid {border}; }}
QStatusBar QWidget {{ background-color: transparent; }}
QTabBar::tab:top {{ padding: 5px 9px; }}
QSplitter {{ background-color: {window}; }}
QSplitter::handle {{ background-color: {window}; border: none; image: none; }}
QSplitter::handle:hover {{ background-color: {accent}; }}
QSplitter::handle:horizontal {{ width: 6px; }}
QSplitter::handle:vertical {{ height: 6px; }}
QSpinBox {{ padding-left: 4px; }}
QStatusBar QLabel {{ padding: 0px 6px; }}
QStatusBar::item {{ border: none; }}
QGroupBox {{ font-weight: 600; }}
QScrollArea {{ border: none; }}
"""


def prepare(app: QApplication, theme: Theme) -> None:
    """Set style and palette. Widgets are made before `apply`: moving them about under a style sheet is slow."""
    app.setStyle("Fusion")
    app.setPalette(_palette(COLOURS[theme]))
    app.setProperty("theme", theme.value)


def apply(app: QApplication, theme: Theme) -> None:
    """Style the whole application; Fusion with the same colours where qdarkstyle is missing."""
    colours = COLOURS[theme]
    app.setStyleSheet("")  # twice as fast as from one sheet to the next
    app.setPalette(_palette(colours))
    app.setProperty("theme", theme.value)
    app.setStyleSheet(_qdarkstyle(theme) + EXTRA.format(**vars(colours), bad=BAD, warn=WARN, good=GOOD))
    for window in app.topLevelWidgets():
        retint(window)


def current(app: QApplication) -> Theme:
    return Theme(app.property("theme") or Theme.DARK)


def _qdarkstyle(theme: Theme) -> str:
    try:
        import qdarkstyle
        from qdarkstyle.dark.palette import DarkPalette
        from qdarkstyle.light.palette import LightPalette
    except ImportError:
        log.warning("qdarkstyle is not installed: the window uses Qt's Fusion style")
        return ""
    palette = DarkPalette if theme is Theme.DARK else LightPalette
    return qdarkstyle.load_stylesheet(qt_api="pyside6", palette=palette)


def _palette(colours: Colours) -> QPalette:
    palette = QPalette()
    roles = {
        QPalette.ColorRole.Window: colours.window,
        QPalette.ColorRole.Base: colours.surface,
        QPalette.ColorRole.AlternateBase: colours.raised,
        QPalette.ColorRole.Button: colours.raised,
        QPalette.ColorRole.Mid: colours.border,
        QPalette.ColorRole.WindowText: colours.text,
        QPalette.ColorRole.Text: colours.text,
        QPalette.ColorRole.ButtonText: colours.text,
        QPalette.ColorRole.PlaceholderText: colours.muted,
        QPalette.ColorRole.ToolTipBase: colours.raised,
        QPalette.ColorRole.ToolTipText: colours.text,
        QPalette.ColorRole.Highlight: colours.accent,
        QPalette.ColorRole.HighlightedText: colours.accent_text,
        QPalette.ColorRole.Link: INFO,
    }
    for role, colour in roles.items():
        palette.setColor(role, QColor(colour))
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(colours.muted))
    return palette


# Icons ---------------------------------------------------------------------------------------------


def set_icon(target: QAbstractButton | QAction, name: str) -> None:
    """Give a button or an action one of our icons; `retint` renews it when the theme changes."""
    target.setProperty(ICON_PROPERTY, name)
    target.setIcon(icon(name, QApplication.palette()))


def retint(root: QWidget) -> None:
    """Draw every icon below `root` again in the palette's text colour."""
    palette = QApplication.palette()
    targets: list[QObject] = [*root.findChildren(QAbstractButton), *root.findChildren(QAction)]
    for target in targets:
        name = target.property(ICON_PROPERTY)
        if name and isinstance(target, QAbstractButton | QAction):
            target.setIcon(icon(name, palette))


def icon(name: str, palette: QPalette) -> QIcon:
    """One of resources/icons in the palette's colours."""
    result = QIcon()
    states = (
        (QIcon.Mode.Normal, QIcon.State.Off, QPalette.ColorGroup.Active, QPalette.ColorRole.WindowText),
        (QIcon.Mode.Normal, QIcon.State.On, QPalette.ColorGroup.Active, QPalette.ColorRole.HighlightedText),
        (QIcon.Mode.Disabled, QIcon.State.Off, QPalette.ColorGroup.Disabled, QPalette.ColorRole.WindowText),
    )
    for mode, state, group, role in states:
        for size in (24, 48):
            result.addPixmap(pixmap(name, palette.color(group, role), size), mode, state)
    return result


def pixmap(name: str, colour: QColor, size: int) -> QPixmap:
    """One of resources/icons in one colour, (size, size) device pixels."""
    source = resources.files("resources").joinpath("icons", f"{name}.svg").read_text(encoding="utf-8")
    renderer = QSvgRenderer(QByteArray(source.replace("#000", colour.name()).encode()))
    picture = QPixmap(QSize(size, size))
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    renderer.render(painter)
    painter.end()
    return picture


def set_role(widget: QWidget, role: str) -> None:
    """Change what the style sheet makes of a widget: title, heading, muted, error, warn, good, card, primary."""
    if widget.property("role") == role:
        return
    widget.setProperty("role", role)
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def label(text: str, role: str = "", parent: QWidget | None = None) -> QLabel:
    """Make a label that shows `text` as it is, never as HTML: it may hold the name of a file or of a class."""
    made = QLabel(text, parent)
    made.setTextFormat(Qt.TextFormat.PlainText)
    if role:
        made.setProperty("role", role)
    return made
