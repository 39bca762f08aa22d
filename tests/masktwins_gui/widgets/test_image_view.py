import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QColor

from masktwins_gui.widgets.image_view import ImageView, Viewport, to_qimage


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


def test_an_overlay_is_laid_over_the_picture(view):
    view.set_overlay(to_qimage(plain((0, 210, 20), 20, 30)), 0.5)  # stretched to the picture's size
    colour = view.grab().toImage().pixelColor(150, 100)
    assert (colour.red(), colour.green(), colour.blue()) == pytest.approx((100, 110, 20), abs=2)
    view.set_overlay(to_qimage(plain((0, 210, 20), 20, 30)), 0.0)
    assert view.grab().toImage().pixelColor(150, 100) == QColor(200, 10, 20)


def test_a_rectangle_is_zoomed_to_and_outlined(view):
    view.show_rectangle(QRectF(30, 15, 10, 5))
    rect = view.picture_rect()
    scale = rect.width() / 60
    assert rect.x() + 35 * scale == pytest.approx(150)  # its centre is in the middle of the view
    assert 10 * scale == pytest.approx(100, abs=2)  # and it takes a third of it
    shown = view.grab().toImage()
    outline = [shown.pixelColor(x, 100) for x in range(90, 102)]
    assert QColor("white") in outline
    assert QColor("black") in outline
    view.set_marked(QRectF())
    assert view.grab().toImage().pixelColor(97, 100) == QColor(200, 10, 20)


def test_the_pixel_under_the_pointer_is_told(view, qtbot):
    seen = []
    view.hovered.connect(seen.append)
    qtbot.mouseMove(view, QPoint(299, 199))
    qtbot.mouseMove(view, QPoint(152, 101))
    assert seen[-1] == QPoint(30, 20)
    assert view.pixel_at(QPointF(-5, 3)) is None
