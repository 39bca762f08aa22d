import numpy as np
import pytest

from masktwins_gui.models.scatter import inside, on_common_axes


def test_the_common_axes_are_those_of_the_largest_differences():
    """The rows differ by 10 along one direction and by 1 along another; a third of them is the same for all."""
    rows = [np.array([10.0 * i, j, 7.0]) for i in (0, 1) for j in (0, 1)]
    first, second = on_common_axes(rows[:2], rows[2:])
    assert first.shape == second.shape == (2, 2)
    assert abs(first[0, 0] - second[0, 0]) == pytest.approx(10)
    assert abs(first[0, 1] - first[1, 1]) == pytest.approx(1)
    assert first[0, 0] == pytest.approx(first[1, 0])


def test_encoders_of_different_widths_have_no_common_axes():
    first, second = on_common_axes([np.zeros(3)], [np.zeros(4)])
    assert (len(first), len(second)) == (0, 0)
    assert len(on_common_axes([], [])[0]) == 0
    assert on_common_axes([np.zeros(1)], [np.ones(1)])[0].shape == (1, 2)


def test_points_inside_an_outline_are_found():
    square = [(0, 0), (10, 0), (10, 10), (0, 10)]
    points = np.array([[5, 5], [15, 5], [-1, -1], [9.9, 0.1]])
    assert inside(points, square).tolist() == [True, False, False, True]
    hollow = [(0, 0), (10, 0), (10, 10), (5, 5), (0, 10)]  # a notch from below
    assert inside(np.array([[5, 8], [5, 3]]), hollow).tolist() == [False, True]
    assert not inside(points, square[:2]).any()
