import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor

from masktwins_gui.models.services import Prediction
from masktwins_gui.widgets.compare_view import CompareView
from masktwins_gui.widgets.image_view import ImageView, SwipeView, Viewport, to_qimage


def plain(colour, height=40, width=60):
    return np.full((height, width, 3), colour, np.uint8)


@pytest.fixture
def view(qtbot):
    view = ImageView()
    qtbot.addWidget(view)
    view.resize(300, 200)
    view.set_picture(plain((200, 10, 20)))
    view.show()
    return view


def test_a_qimage_owns_its_memory():
    array = np.zeros((3, 5, 3), np.uint8)
    array[1, 2] = (1, 2, 3)
    images = [to_qimage(array), to_qimage(array[:, ::-1])]  # the second is not contiguous; rows of 15 bytes
    array[:] = 255
    for image in images:
        assert image.pixelColor(2, 1) == QColor(1, 2, 3)
        assert (image.width(), image.height()) == (5, 3)


def test_the_picture_is_painted_whole_and_centred(view):
    assert view.picture_rect().width() == pytest.approx(300)
    shown = view.grab().toImage()
    assert shown.pixelColor(150, 100) == QColor(200, 10, 20)
    assert view.position_in_picture(QPointF(150, 100)) == QPointF(0.5, 0.5)


def test_zooming_keeps_what_is_under_the_pointer(view):
    point = QPointF(100, 80)
    before = view.position_in_picture(point)
    view.zoom_at(point, 3.0)
    after = view.position_in_picture(point)
    assert view.viewport.zoom == pytest.approx(3.0)
    assert (after.x(), after.y()) == pytest.approx((before.x(), before.y()))


def test_dragging_pans_and_a_double_click_fits(view, qtbot):
    view.zoom_at(QPointF(150, 100), 4.0)
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=QPoint(150, 100))
    qtbot.mouseMove(view, QPoint(180, 100))
    qtbot.mouseRelease(view, Qt.MouseButton.LeftButton, pos=QPoint(180, 100))
    assert view.viewport.centre.x() == pytest.approx(0.5 - 30 / view.picture_rect().width(), abs=0.01)
    qtbot.mouseDClick(view, Qt.MouseButton.LeftButton)
    assert (view.viewport.zoom, view.viewport.centre) == (1.0, QPointF(0.5, 0.5))


def test_linked_views_move_together(view, qtbot):
    other = ImageView("B", view.viewport)
    qtbot.addWidget(other)
    other.resize(100, 300)
    other.set_picture(plain(0))
    view.zoom_at(QPointF(10, 10), 2.0)
    assert other.viewport.zoom == 2.0
    qtbot.keyClick(other, Qt.Key.Key_0)
    assert view.viewport.zoom == 1.0


def test_the_viewport_stays_inside_the_picture(qapp):
    viewport = Viewport()
    viewport.set(4.0, QPointF(-3, 9))
    assert viewport.centre == QPointF(0.125, 0.875)
    viewport.set(0.1, QPointF(0, 0))
    assert viewport.zoom == 1.0


def test_an_empty_view_shows_its_hint_and_ignores_the_mouse(qtbot):
    view = ImageView("A")
    qtbot.addWidget(view)
    view.set_hint("nothing yet")
    view.resize(120, 90)
    assert not view.grab().isNull()
    view.zoom_at(QPointF(3, 3), 2)


def test_swiping_moves_the_line(qtbot):
    view = SwipeView()
    qtbot.addWidget(view)
    view.resize(300, 200)
    view.set_pictures(plain((255, 0, 0)), plain((0, 0, 255)))
    view.show()
    assert view.grab().toImage().pixelColor(100, 60) == QColor(255, 0, 0)
    assert view.grab().toImage().pixelColor(200, 60) == QColor(0, 0, 255)
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=QPoint(150, 100))
    qtbot.mouseMove(view, QPoint(60, 100))
    qtbot.mouseRelease(view, Qt.MouseButton.LeftButton, pos=QPoint(60, 100))
    assert view.position == pytest.approx(0.2)
    assert view.grab().toImage().pixelColor(100, 60) == QColor(0, 0, 255)
    qtbot.keyClick(view, Qt.Key.Key_BracketRight)
    assert view.position == pytest.approx(0.25)


def test_comparing_shows_both_and_the_truth(qtbot):
    view = CompareView()
    qtbot.addWidget(view)
    image = plain(100)
    first, second = np.zeros((40, 60), np.uint8), np.ones((40, 60), np.uint8)
    palette = ((255, 0, 0), (0, 255, 0))
    view.set_opacity(1.0)
    view.show_prediction(Prediction(image, first, second, second, palette, ("a", "b")))
    assert view.first.image.pixelColor(5, 5) == QColor(255, 0, 0)
    assert view.second.image.pixelColor(5, 5) == QColor(0, 255, 0)
    assert view.truth.image.pixelColor(5, 5) == QColor(0, 255, 0)
    view.set_opacity(0.0)
    assert view.first.image.pixelColor(5, 5) == QColor(100, 100, 100)
    wrong_size = np.zeros((4, 4), np.uint8)
    view.show_prediction(Prediction(image, first, second, wrong_size, palette, ("a", "b")))
    assert view.truth.image.isNull()
    view.show_prediction(None)
    assert view.first.image.isNull()
    assert view.swipe.other.isNull()


def test_a_focused_view_keeps_its_picture(qtbot):
    view = SwipeView()
    qtbot.addWidget(view)
    view.resize(300, 200)
    view.set_pictures(plain((255, 0, 0)), plain((0, 0, 255)))
    view.show()
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=QPoint(150, 100))
    qtbot.waitUntil(view.hasFocus)
    shown = view.grab().toImage()
    assert shown.pixelColor(60, 60) == QColor(255, 0, 0)
    assert shown.pixelColor(240, 60) == QColor(0, 0, 255)
