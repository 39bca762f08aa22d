import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor

from masktwins_gui import theme
from masktwins_gui.widgets.map_view import MapView

POINTS = np.array([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]])


@pytest.fixture
def view(qtbot):
    view = MapView()
    qtbot.addWidget(view)
    view.resize(300, 200)
    view.set_points(POINTS, np.array([False, True, False]))
    view.show()
    return view


def place(view, index):
    return QPoint(*(int(value) for value in view.positions()[index]))


def drag(qtbot, view, corners):
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=corners[0])
    for corner in corners[1:]:
        qtbot.mouseMove(view, corner)
    qtbot.mouseRelease(view, Qt.MouseButton.LeftButton, pos=corners[-1])


def test_dots_are_painted_where_they_lie_y_upwards(view):
    shown = view.grab().toImage()
    disc, ring = (QColor(theme.colours().series[index]) for index in (0, 1))
    assert place(view, 0).y() > place(view, 1).y()
    assert shown.pixelColor(place(view, 0)) == disc
    assert shown.pixelColor(place(view, 1)) != ring  # a ring is open in the middle
    assert ring in [shown.pixelColor(place(view, 1) + QPoint(3, d)) for d in range(-1, 2)]


def test_a_click_chooses_the_nearest_dot(view, qtbot):
    seen = []
    view.chosen.connect(seen.append)
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=place(view, 2) + QPoint(3, 2))
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=place(view, 2) + QPoint(40, 0))
    assert seen == [2]


def test_a_lasso_takes_what_it_goes_round(view, qtbot):
    seen = []
    view.lassoed.connect(seen.append)
    middle = place(view, 2)
    drag(qtbot, view, [middle + QPoint(*d) for d in ((-20, -20), (20, -20), (20, 20), (-20, 20))])
    drag(qtbot, view, [middle + QPoint(*d) for d in ((30, 30), (60, 30), (60, 50))])
    assert seen == [[2], None]


def test_the_wheel_zooms_and_the_right_button_moves(view, qtbot):
    before = view.positions()
    qtbot.keyClick(view, Qt.Key.Key_Plus)
    assert np.ptp(view.positions()[:, 0]) == pytest.approx(1.5 * np.ptp(before[:, 0]))
    middle = view.positions()[2].copy()
    qtbot.mousePress(view, Qt.MouseButton.RightButton, pos=QPoint(100, 100))
    qtbot.mouseMove(view, QPoint(110, 105))
    qtbot.mouseRelease(view, Qt.MouseButton.RightButton, pos=QPoint(110, 105))
    assert view.positions()[2] - middle == pytest.approx([10, 5])
    qtbot.keyClick(view, Qt.Key.Key_0)
    assert view.centre == QPointF(0.5, 0.5)


def test_arrow_keys_go_from_dot_to_dot(view, qtbot):
    seen = []
    view.chosen.connect(seen.append)
    view.chosen.connect(view.set_current)
    for _ in range(4):
        qtbot.keyClick(view, Qt.Key.Key_Right)
    assert seen == [0, 2, 1, 0]


def test_an_empty_map_says_what_to_do(view):
    view.hint = "compare first"
    view.set_points(np.zeros((0, 2)), np.zeros(0, bool))
    assert view.point_at(QPointF(10, 10)) == -1
    assert not view.grab().isNull()
