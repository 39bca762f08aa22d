import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget

from core.evaluation.compare import Ranked
from masktwins_gui.models.layers import photo_image
from masktwins_gui.widgets.compare_canvas import Mode
from masktwins_gui.widgets.compare_view import CompareView

RED, BLUE, GREY = QColor(255, 0, 0), QColor(0, 0, 255), QColor(100, 100, 100)
PALETTE = ((255, 0, 0), (0, 0, 255))


def one_class(value, confidence=None):
    ids = np.full((1, 40, 60), value, np.uint8)
    return Ranked(ids, None if confidence is None else np.full((1, 40, 60), confidence, np.uint8))


@pytest.fixture
def view(qtbot):
    """A says class 0, red, and B class 1, blue; only the labels are shown."""
    holder = QWidget()
    layout = QHBoxLayout(holder)
    view = CompareView()
    layout.addWidget(view)
    layout.addWidget(QLineEdit())
    qtbot.addWidget(holder)
    holder.resize(500, 300)
    view.set_classes(PALETTE)
    view.set_opacity(1.0)
    view.show_photo(photo_image(np.full((40, 60, 3), 100, np.uint8)))
    view.show_side(0, one_class(0))
    view.show_side(1, one_class(1))
    view.set_titles("old", "new")
    holder.show()
    view.holder = holder
    return view


def middle(widget, shift=0):
    frame = widget.frame().center()
    return widget.grab().toImage().pixelColor(int(frame.x()) + shift, int(frame.y()) - 40)


def test_side_by_side_shows_both_and_the_photo(view):
    assert middle(view.first) == RED
    assert middle(view.second) == BLUE
    assert middle(view.original) == GREY
    assert not view.truth.isVisible()
    view.show_label(np.ones((40, 60), np.uint8))
    assert view.truth.isVisible()
    assert middle(view.truth) == BLUE
    view.show_label(None)
    assert not view.truth.isVisible()


def test_holding_tab_shows_the_other_model(view, qtbot):
    view.set_mode(Mode.ONE)
    view.canvas.setFocus()
    assert middle(view.canvas) == BLUE
    assert view.canvas.caption == "B · new"
    qtbot.keyPress(view.canvas, Qt.Key.Key_Tab)
    assert middle(view.canvas) == RED
    assert view.canvas.caption == "A · old"
    qtbot.keyRelease(view.canvas, Qt.Key.Key_Tab)
    assert middle(view.canvas) == BLUE


def test_holding_tab_exchanges_both_sides(view, qtbot):
    view.first.setFocus()
    qtbot.keyPress(view.first, Qt.Key.Key_Tab)
    assert (middle(view.first), middle(view.second)) == (BLUE, RED)
    assert view.first.caption == "B · new"
    qtbot.keyRelease(view.first, Qt.Key.Key_Tab)
    assert middle(view.first) == RED


def test_the_other_model_goes_with_the_focus(view, qtbot):
    view.set_mode(Mode.ONE)
    view.canvas.setFocus()
    qtbot.waitUntil(view.canvas.hasFocus)
    qtbot.keyPress(view.canvas, Qt.Key.Key_Tab)
    view.holder.findChild(QLineEdit).setFocus()
    assert middle(view.canvas) == BLUE


def test_escape_leaves_a_picture_that_takes_tab(view, qtbot):
    view.set_mode(Mode.ONE)
    view.canvas.setFocus()
    qtbot.waitUntil(view.canvas.hasFocus)
    qtbot.keyClick(view.canvas, Qt.Key.Key_Escape)
    assert view.holder.findChild(QLineEdit).hasFocus()


def test_blinking_turns_by_itself_and_stops_when_it_is_hidden(view, qtbot):
    view.canvas.set_blinks_per_second(50)
    view.set_mode(Mode.BLINK)
    seen = set()
    qtbot.waitUntil(lambda: seen.add(middle(view.canvas).name()) or len(seen) == 2)
    assert seen == {RED.name(), BLUE.name()}
    view.holder.hide()
    assert not view.canvas._blink.isActive()
    view.holder.show()
    assert view.canvas._blink.isActive()
    view.set_mode(Mode.ONE)
    assert not view.canvas._blink.isActive()


def test_swiping_moves_the_line(view, qtbot):
    view.set_mode(Mode.SWIPE)
    width = view.canvas.width()
    assert (middle(view.canvas, -60), middle(view.canvas, 60)) == (RED, BLUE)
    y = int(view.canvas.frame().center().y())
    qtbot.mousePress(view.canvas, Qt.MouseButton.LeftButton, pos=QPoint(width // 2, y))
    qtbot.mouseMove(view.canvas, QPoint(width // 5, y))
    qtbot.mouseRelease(view.canvas, Qt.MouseButton.LeftButton, pos=QPoint(width // 5, y))
    assert view.canvas.position == pytest.approx(0.2, abs=0.01)
    assert middle(view.canvas, -60) == BLUE
    qtbot.keyClick(view.canvas, Qt.Key.Key_BracketRight)
    assert view.canvas.position == pytest.approx(0.25, abs=0.01)


def test_a_focused_canvas_keeps_its_picture(view, qtbot):
    """The handle is white; its brush must not fill the view through the frame that shows the focus."""
    view.set_mode(Mode.SWIPE)
    y = int(view.canvas.frame().center().y())
    qtbot.mouseClick(view.canvas, Qt.MouseButton.LeftButton, pos=QPoint(view.canvas.width() // 2, y))
    qtbot.waitUntil(view.canvas.hasFocus)
    assert (middle(view.canvas, -60), middle(view.canvas, 60)) == (RED, BLUE)


def test_the_delta_is_shown_and_tab_shows_the_model_under_it(view, qtbot):
    view.show_delta(photo_image(np.full((40, 60, 3), (9, 200, 9), np.uint8)), "Green: fixed")
    view.set_mode(Mode.DELTA)
    view.canvas.setFocus()
    assert middle(view.canvas) == QColor(9, 200, 9)
    assert view.canvas.caption == "Green: fixed"
    qtbot.keyPress(view.canvas, Qt.Key.Key_Tab)
    assert middle(view.canvas) == RED
    qtbot.keyRelease(view.canvas, Qt.Key.Key_Tab)


def test_unsure_pixels_and_other_pixels_are_hidden(view):
    half = np.zeros((40, 60), bool)
    half[:, :30] = True
    view.show_only(half)
    assert (middle(view.first, -20), middle(view.first, 20)) == (RED, GREY)
    view.show_only(None)
    view.show_side(1, one_class(1, confidence=127))
    view.set_least_confidence(0.6)
    assert middle(view.second) == GREY
    assert view.hidden_share(1) == 1.0
    assert view.hidden_share(0) is None  # its probabilities are not known
    assert middle(view.first) == RED


def test_zoom_and_place_are_shared_by_all_modes(view):
    view.show_region(10, 10, 5, 5)
    zoom = view.viewport.zoom
    assert zoom > 1
    view.set_mode(Mode.DELTA)
    assert view.canvas.viewport.zoom == zoom


def test_clearing_leaves_nothing(view):
    view.show_delta(photo_image(np.zeros((40, 60, 3), np.uint8)))
    view.clear()
    for shown in (view.first, view.second, view.original, view.canvas):
        assert shown.image.isNull()
        assert shown.overlay.isNull()
    assert view.canvas.delta.isNull()
    assert view.hidden_share(0) is None
