"""Both themes are readable, and every control shows that it has the focus."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QLineEdit,
    QListWidget,
    QPushButton,
    QSlider,
    QSpinBox,
    QTabBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from masktwins_gui import theme

TEXTS = ("text", "muted", "good", "warn", "bad", "info")


def luminance(colour: str) -> float:
    """Relative luminance, 0..1 (WCAG 2)."""
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in QColor(colour).getRgbF()[:3]]
    return sum(weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), channels, strict=True))


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_measured_as_the_guidelines_do():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", list(theme.Theme))
def test_texts_and_lines_stand_out(name):
    colours = theme.COLOURS[name]
    for ground in (colours.window, colours.surface, colours.raised):
        for text in TEXTS:
            assert contrast(getattr(colours, text), ground) >= 4.5, (text, ground)
        assert contrast(colours.focus, ground) >= 3
    for line in colours.series:
        assert contrast(line, colours.surface) >= 3, line
    assert contrast(colours.accent_text, colours.accent) >= 4.5


CONTROLS = {
    "button": lambda: QPushButton("Go"),
    "tool button": lambda: QToolButton(text="Go"),
    "line": QLineEdit,
    "combo": QComboBox,
    "spin box": QSpinBox,
    "check box": lambda: QCheckBox("on"),
    "slider": lambda: QSlider(Qt.Orientation.Horizontal),
    "list": QListWidget,
    "tab bar": QTabBar,
}


@pytest.mark.parametrize("name", CONTROLS)
def test_the_focus_is_visible(qtbot, qapp: QApplication, name):
    theme.apply(qapp, theme.Theme.DARK)
    window = QWidget()
    qtbot.addWidget(window)
    other, control = QPushButton("other"), CONTROLS[name]()
    if isinstance(control, QTabBar):
        control.addTab("first")
    layout = QVBoxLayout(window)
    layout.addWidget(other)
    layout.addWidget(control)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    other.setFocus()
    before = control.grab().toImage()
    control.setFocus(Qt.FocusReason.TabFocusReason)
    after = control.grab().toImage()
    ring = QColor(theme.colours().focus).rgb()
    pixels = [(x, y) for x in range(after.width()) for y in range(after.height())]
    gained = sum(after.pixel(*p) == ring and before.pixel(*p) != ring for p in pixels)
    assert gained >= 40, f"{gained} pixels in the colour of the focus"
