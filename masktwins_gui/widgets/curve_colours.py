"""Colours of curves and marks for both themes: told apart by colour-blind people, text contrast of 4.5 and more."""

from __future__ import annotations

from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

from masktwins_gui.theme import Theme

# Okabe–Ito's hues, brightened for the dark ground and darkened for the white one.
LINES = {
    Theme.DARK: ("#56b4e9", "#e69f00", "#20b887", "#cc79a7", "#e8743b", "#a6a64d"),
    Theme.LIGHT: ("#0067a3", "#945600", "#00725a", "#a03a78", "#b53600", "#5f5f12"),
}
MARKS = {
    Theme.DARK: {"checkpoint": "#3fa870", "pause": "#d18b1f", "change": "#3d8fd9", "phase": "#9da9b5"},
    Theme.LIGHT: {"checkpoint": "#1f7a4a", "pause": "#8f5b00", "change": "#1f6fb5", "phase": "#5d6b78"},
}
NUM_COLOURS = len(LINES[Theme.DARK])
FAINT = 85  # alpha of the raw lines, of 255


def line_colour(index: int) -> QColor:
    """Return the colour of the index-th line; they repeat after NUM_COLOURS."""
    return QColor(LINES[_theme()][index % NUM_COLOURS])


def mark_colour(kind: str) -> QColor:
    """Return the colour of a kind of mark."""
    colours = MARKS[_theme()]
    return QColor(colours.get(kind, colours["phase"]))


def _theme() -> Theme:
    """The theme by its ground: the palette changes before anything else that tells."""
    return Theme.DARK if QApplication.palette().color(QPalette.ColorRole.Base).lightness() < 128 else Theme.LIGHT
