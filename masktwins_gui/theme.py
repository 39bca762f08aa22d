"""Colours, style sheet and icons of the window, dark and light.

Qt's own Fusion style draws the controls in the palette's colours; a short sheet adds what a palette cannot say. A large
sheet takes Qt a tenth of a second at each start and each change of the theme. Widgets that paint themselves read
`colours()` when they paint.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path

from PySide6.QtCore import QByteArray, QObject, QSize, Qt
from PySide6.QtGui import QAction, QColor, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QWidget
from qdarkstyle.dark.palette import DarkPalette
from qdarkstyle.light.palette import LightPalette

ICON_PROPERTY = "icon_name"


class Theme(StrEnum):
    DARK = "dark"
    LIGHT = "light"


@dataclass(frozen=True)
class Colours:
    """What a theme is made of. Text stands out from `window`, `surface` and `raised` by 4.5 to 1, lines by 3 to 1."""

    window: str
    surface: str
    raised: str
    border: str
    text: str
    muted: str
    accent: str
    accent_text: str
    focus: str
    good: str
    warn: str
    bad: str
    info: str
    series: tuple[str, ...]  # of curves: Okabe and Ito's, which colour-blind people tell apart


# Surfaces, texts and accents are qdarkstyle's; where its colours do not stand out enough, ours are given in numbers.
COLOURS = {
    Theme.DARK: Colours(
        window=DarkPalette.COLOR_BACKGROUND_1, surface="#141c24", raised=DarkPalette.COLOR_BACKGROUND_2,
        border=DarkPalette.COLOR_BACKGROUND_4, text=DarkPalette.COLOR_TEXT_1, muted=DarkPalette.COLOR_TEXT_3,
        accent=DarkPalette.COLOR_ACCENT_2, accent_text="#ffffff", focus="#6cb8ff", good="#4cc38a", warn="#e5a13a",
        bad="#ff8080", info="#62b0f5",
        series=("#56b4e9", "#e69f00", "#00a878", "#cc79a7", "#e0661a", "#a3a345"),
    ),
    Theme.LIGHT: Colours(
        window="#f6f7f8", surface="#ffffff", raised="#e9ecef", border=LightPalette.COLOR_BACKGROUND_5,
        text=LightPalette.COLOR_TEXT_1, muted=LightPalette.COLOR_TEXT_3, accent="#2a6fb0", accent_text="#ffffff",
        focus="#0b63c5", good="#1b7047", warn="#875400", bad="#b3261e", info="#1f66a8",
        series=("#0072b2", "#9a6200", "#00755a", "#a84a84", "#b84a00", "#646427"),
    ),
}  # fmt: skip

SHEET = """
QWidget[role="title"] {{ font-size: 15pt; font-weight: 600; }}
QLabel[role="heading"] {{ font-weight: 600; }}
QLabel[role="muted"] {{ color: {muted}; }}
QLabel[role="error"] {{ color: {bad}; }}
QLabel[role="warn"] {{ color: {warn}; }}
QLabel[role="good"] {{ color: {good}; }}
QFrame[role="card"] {{ background: {surface}; border: 1px solid {border}; border-radius: 6px; }}
QFrame[role="card"] QLabel {{ background: transparent; border: none; }}
QFrame[role="banner"] {{ background: {raised}; border: 1px solid {warn}; border-radius: 6px; }}
QFrame[role="banner"] QLabel {{ background: transparent; border: none; }}
QFrame[role="rail"] {{ background: {surface}; border: none; border-right: 1px solid {border}; }}
QPushButton, QToolButton {{ background: {raised}; border: 1px solid {border}; border-radius: 5px; padding: 4px 6px; }}
QPushButton {{ padding: 5px 12px; min-height: 18px; }}
QPushButton:hover, QToolButton:hover {{ border-color: {muted}; }}
QPushButton:pressed, QToolButton:pressed {{ background: {surface}; }}
QToolButton:checked {{ background: {accent}; color: {accent_text}; border-color: {accent}; }}
QToolButton[role="class"] {{ background: {window}; color: {muted}; }}
QToolButton[role="class"]:checked {{ background: {raised}; color: {text}; border-color: {border}; }}
QPushButton:disabled, QToolButton:disabled {{ color: {muted}; background: {window}; border-color: {raised}; }}
QPushButton[role="primary"], QToolButton[role="primary"] {{ background: {accent}; color: {accent_text};
    border-color: {accent}; font-weight: 600; }}
QPushButton[role="primary"]:disabled, QToolButton[role="primary"]:disabled {{ background: {raised}; color: {muted};
    border-color: {raised}; }}
QToolButton[popupMode="1"] {{ padding-right: 20px; }}
QToolButton::menu-button {{ border: none; border-left: 1px solid {border}; width: 16px; }}
QFrame[role="rail"] QToolButton {{ background: transparent; border-color: transparent; text-align: left; }}
QFrame[role="rail"] QToolButton:hover {{ background: {raised}; }}
QFrame[role="rail"] QToolButton[role="page"] {{ padding: 0px 10px; font-size: 11pt; }}
QFrame[role="rail"] QToolButton[role="page"]:checked {{ background: {accent}; color: {accent_text}; }}
QToolButton::menu-indicator {{ image: none; }}
QPushButton:focus, QToolButton:focus, QFrame[role="rail"] QToolButton:focus, QLineEdit:focus, QPlainTextEdit:focus,
    QTextBrowser:focus, QAbstractItemView:focus, QGraphicsView:focus {{ border: 2px solid {focus}; }}
QCheckBox::indicator, QAbstractItemView::indicator {{ width: 14px; height: 14px; border: 1px solid {muted};
    border-radius: 3px; background: {surface}; }}
QCheckBox::indicator:checked, QAbstractItemView::indicator:checked {{ background: {accent}; border-color: {accent};
    image: url({icons}/tick.svg); }}
QCheckBox::indicator:disabled {{ border-color: {border}; background: {raised}; }}
QSlider:focus {{ border: 2px solid {focus}; border-radius: 4px; }}
QCheckBox:focus {{ border: 2px solid {focus}; border-radius: 4px; }}
QLineEdit, QPlainTextEdit, QTextBrowser, QAbstractItemView, QGraphicsView {{ background: {surface};
    border: 1px solid {border}; border-radius: 4px; }}
QComboBox, QAbstractSpinBox {{ background: {surface}; border: 1px solid {border}; border-radius: 4px; padding: 2px 4px; }}
QComboBox:focus, QAbstractSpinBox:focus {{ border: 2px solid {focus}; }}
QComboBox:disabled, QAbstractSpinBox:disabled, QLineEdit:disabled {{ color: {muted}; background: {window}; }}
QComboBox::drop-down {{ border: none; width: 18px; }}
QComboBox::down-arrow, QAbstractSpinBox::down-arrow {{ image: url({icons}/arrow_down.svg); width: 10px; height: 10px; }}
QAbstractSpinBox::up-arrow {{ image: url({icons}/arrow_up.svg); width: 10px; height: 10px; }}
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button {{ border: none; width: 18px; }}
QAbstractSpinBox::up-button:hover, QAbstractSpinBox::down-button:hover {{ background: {raised}; }}
QLineEdit {{ padding: 2px 4px; }}
QLineEdit:read-only {{ color: {muted}; }}
QComboBox QLineEdit, QComboBox QLineEdit:focus, QAbstractSpinBox QLineEdit, QAbstractSpinBox QLineEdit:focus {{
    border: none; padding: 0px; background: transparent; }}
QLineEdit[invalid="true"], QComboBox[invalid="true"], QAbstractSpinBox[invalid="true"] {{ border: 2px solid {bad}; }}
QMenuBar {{ background: {surface}; border-bottom: 1px solid {border}; }}
QMenuBar::item {{ padding: 4px 9px; background: transparent; }}
QMenuBar::item:selected {{ background: {accent}; color: {accent_text}; }}
QStatusBar {{ background: {surface}; border-top: 1px solid {border}; }}
QStatusBar::item {{ border: none; }}
QTabWidget::pane {{ border: 1px solid {border}; border-radius: 4px; top: -1px; }}
QTabBar::tab {{ padding: 5px 11px; border: 1px solid transparent; border-bottom: 2px solid transparent; color: {muted}; }}
QTabBar::tab:selected {{ color: {text}; border-bottom: 2px solid {info}; }}
QTabBar::tab:hover {{ color: {text}; }}
QTabBar::tab:selected:focus {{ border: 2px solid {focus}; border-radius: 4px; }}
QHeaderView::section {{ background: {raised}; color: {muted}; border: none; border-right: 1px solid {border};
    padding: 4px 6px; }}
QSplitter::handle {{ background: {window}; }}
QSplitter::handle:hover {{ background: {accent}; }}
QSplitter::handle:horizontal {{ width: 6px; }}
QSplitter::handle:vertical {{ height: 6px; }}
QDialogButtonBox {{ dialogbuttonbox-buttons-have-icons: 0; }}
QGroupBox {{ font-weight: 600; }}
QScrollArea {{ border: none; background: transparent; }}
QScrollArea > QWidget#qt_scrollarea_viewport > QWidget {{ background: transparent; }}
QProgressBar {{ border: 1px solid {border}; border-radius: 4px; background: {surface}; text-align: center; }}
QProgressBar::chunk {{ background: {accent}; border-radius: 3px; }}
QToolTip {{ color: {text}; background: {raised}; border: 1px solid {border}; padding: 3px; }}
"""


def prepare(app: QApplication, theme: Theme) -> None:
    """Set style and palette. Widgets are made before `apply`: moving them about under a style sheet is slow."""
    app.setStyle("Fusion")
    app.setPalette(_palette(COLOURS[theme]))
    app.setProperty("theme", theme.value)


def apply(app: QApplication, theme: Theme) -> None:
    """Style the whole application."""
    app.setStyleSheet("")  # twice as fast as from one sheet to the next
    app.setPalette(_palette(COLOURS[theme]))
    app.setProperty("theme", theme.value)
    app.setStyleSheet(SHEET.format(icons=_icons().as_posix(), **vars(COLOURS[theme])))
    for window in app.topLevelWidgets():
        retint(window)


def _icons() -> Path:
    return Path(str(resources.files("resources").joinpath("icons")))


def current(app: QApplication) -> Theme:
    return Theme(app.property("theme") or Theme.DARK)


def colours() -> Colours:
    """Return the colours of the theme that is shown."""
    app = QApplication.instance()
    return COLOURS[current(app) if isinstance(app, QApplication) else Theme.DARK]


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
        QPalette.ColorRole.Link: colours.info,
        QPalette.ColorRole.Accent: colours.accent,
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
    target.setIcon(icon(name, QApplication.palette(), on_accent=target.property("role") == "primary"))


def retint(root: QWidget) -> None:
    """Draw every icon below `root` again in the palette's text colour."""
    targets: list[QObject] = [*root.findChildren(QAbstractButton), *root.findChildren(QAction)]
    for target in targets:
        name = target.property(ICON_PROPERTY)
        if name and isinstance(target, QAbstractButton | QAction):
            set_icon(target, name)


def icon(name: str, palette: QPalette, *, on_accent: bool = False) -> QIcon:
    """One of resources/icons in the palette's colours; `on_accent` for a button in the accent's colour."""
    result = QIcon()
    usual = QPalette.ColorRole.HighlightedText if on_accent else QPalette.ColorRole.WindowText
    states = (
        (QIcon.Mode.Normal, QIcon.State.Off, QPalette.ColorGroup.Active, usual),
        (QIcon.Mode.Normal, QIcon.State.On, QPalette.ColorGroup.Active, QPalette.ColorRole.HighlightedText),
        (QIcon.Mode.Disabled, QIcon.State.Off, QPalette.ColorGroup.Disabled, QPalette.ColorRole.WindowText),
    )
    for mode, state, group, role in states:
        for size in (24, 48):
            result.addPixmap(pixmap(name, palette.color(group, role), size), mode, state)
    return result


def pixmap(name: str, colour: QColor, size: int) -> QPixmap:
    """One of resources/icons in one colour, (size, size) device pixels."""
    return _drawn(name, colour.name(), size)


@lru_cache(maxsize=1024)
def _drawn(name: str, colour: str, size: int) -> QPixmap:
    renderer = QSvgRenderer(QByteArray(_source(name).replace("#000", colour).encode()))
    picture = QPixmap(QSize(size, size))
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    renderer.render(painter)
    painter.end()
    return picture


@cache
def _source(name: str) -> str:
    return resources.files("resources").joinpath("icons", f"{name}.svg").read_text(encoding="utf-8")


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
