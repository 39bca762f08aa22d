import math

import numpy as np
import pytest

from masktwins_gui.models.curves import CurveStore, Mark, Series


def test_smoothing_is_debiased():
    series = Series(0.9)
    for step in range(5):
        series.append(step, 7.0)
    assert series.smooth == pytest.approx([7.0] * 5)  # not drawn towards 0 at the start
    assert series.y.tolist() == [7.0] * 5


def test_smoothing_weighs_the_past():
    series = Series(0.5)
    series.append(0, 0.0)
    series.append(1, 3.0)
    assert series.smooth[1] == pytest.approx(0.5 * 3 / 0.75)  # (½·½·0 + ½·3) / (1 − ½²)


def test_a_value_that_is_not_finite_leaves_a_gap_and_the_mean_alone():
    series = Series(0.5)
    for step, value in enumerate((2.0, math.nan, 2.0)):
        series.append(step, value)
    assert math.isnan(series.smooth[1])
    assert series.smooth[2] == pytest.approx(2.0)


def test_growing_beyond_the_first_block_keeps_all_points():
    series = Series()
    for step in range(1000):
        series.append(step, step)
    assert np.array_equal(series.x, np.arange(1000))
    assert np.array_equal(series.smooth, series.y)


def test_cutting_forgets_what_came_after_the_checkpoint():
    store = CurveStore(0.0)
    store.add((step, {"total": float(step)}) for step in range(10))
    store.mark(Mark(3, "checkpoint", "a"))
    store.mark(Mark(8, "checkpoint", "b"))
    store.cut_after(5)
    assert store.series["total"].x.tolist() == [0, 1, 2, 3, 4, 5]
    assert [mark.step for mark in store.marks] == [3]


def test_one_signal_per_add(qtbot):
    store, signals = CurveStore(), []
    store.changed.connect(lambda: signals.append(1))
    store.add((step, {"total": 1.0, "mix": 2.0}) for step in range(100))
    assert len(signals) == 1
    store.set_smoothing(0.0)
    assert np.array_equal(store.series["mix"].smooth, store.series["mix"].y)


@pytest.mark.parametrize(("step", "index"), [(-5, 0), (11, 1), (16, 2), (99, 2)])
def test_nearest(step, index):
    series = Series()
    for x in (0, 10, 20):
        series.append(x, 0)
    assert series.nearest(step) == index
    assert Series().nearest(3) is None
