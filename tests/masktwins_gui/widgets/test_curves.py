"""The curve panel: lines, legend, read-out, axes, colours of both themes, speed."""

import math
import re
import time

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from masktwins_gui import theme
from masktwins_gui.models.curves import CurveStore, Mark, Series
from masktwins_gui.widgets.curve_colours import LINES, MARKS
from masktwins_gui.widgets.curves import CurvePanel


@pytest.fixture
def curves(qtbot):
    store = CurveStore(smoothing=0.5)
    panel = CurvePanel(store, panel="losses", unit="loss")
    qtbot.addWidget(panel)
    panel.resize(500, 400)
    panel.show()
    return store, panel


def read(panel, x):
    return re.sub("<.*?>", "", panel.text_at(x).replace("<br>", "\n"))


def test_curves_show_the_raw_and_the_smoothed_line(curves):
    store, panel = curves
    store.add((step, {"total": float(step % 3)}) for step in range(100))
    curve = panel.plot.curves["total"]
    assert np.array_equal(curve.raw.yData, store.series["total"].y)
    assert np.array_equal(curve.smooth.yData, store.series["total"].smooth)
    assert curve.raw.opts["pen"].color().alpha() < curve.smooth.opts["pen"].color().alpha()
    panel.boxes["total"].setChecked(False)
    assert not curve.smooth.isVisible()
    store.clear()
    assert panel.plot.curves == {}
    assert panel.boxes == {}


def test_a_curve_that_was_hidden_stays_hidden_when_another_comes(curves):
    store, panel = curves
    store.add([(1, {"total": 1.0}), (2, {"total": 1.0})])
    panel.boxes["total"].setChecked(False)
    store.add([(3, {"total": 1.0, "mix": 1.0})])
    assert not panel.boxes["total"].isChecked()
    assert not panel.plot.curves["total"].smooth.isVisible()
    assert panel.plot.curves["mix"].smooth.isVisible()


def test_more_series_than_colours_are_told_apart_by_dashes(curves):
    store, panel = curves
    names = [f"series_{i}" for i in range(8)]
    store.add([(1, dict.fromkeys(names, 1.0))])
    pens = [panel.plot.curves[name].smooth.opts["pen"] for name in names]
    assert len({(pen.color().name(), pen.style()) for pen in pens}) == 8
    assert panel.boxes["series_0"].text() == "series 0"
    panel.resize(320, 300)
    rows = {panel.boxes[name].y() for name in names}
    assert len(rows) > 1  # the legend wraps instead of widening the window
    assert all(panel.boxes[name].geometry().right() <= panel.width() for name in names)


def test_the_read_out_names_values_and_marks(curves):
    store, panel = curves
    store.add([(10, {"total": 2.0, "<b>mix": 1.0}), (20, {"total": 4.0, "<b>mix": 1.0})])
    store.mark(Mark(20, "checkpoint", "Checkpoint step-000020"))
    text = read(panel, 19.9)
    assert text.splitlines()[0] == "step 20"
    assert "total 3.333" in text
    assert "Checkpoint step-000020" in text
    assert "&lt;b&gt;mix" in panel.text_at(19.9)  # a file's text is never rich text
    assert read(panel, 10).splitlines()[0] == "step 10"


def test_the_arrow_keys_move_the_read_out(curves, qtbot):
    store, panel = curves
    store.add((step, {"total": float(step)}) for step in range(101))
    panel.plot.setFocus()
    qtbot.keyClick(panel.plot, Qt.Key.Key_Left)
    assert panel.readout.isVisible()
    first = panel.readout.text()
    qtbot.keyClick(panel.plot, Qt.Key.Key_Left)
    assert panel.readout.text() != first
    with qtbot.waitSignal(panel.step_chosen) as chosen:
        qtbot.keyClick(panel.plot, Qt.Key.Key_Return)
    assert 97 < chosen.args[0] < 101


def test_a_logarithm_leaves_out_what_is_not_positive(curves):
    store, panel = curves
    store.add([(1, {"total": 10.0}), (2, {"total": 0.0}), (3, {"total": 1000.0})])
    panel.log_box.setChecked(True)
    shown = panel.plot.curves["total"].raw.yData
    assert shown[[0, 2]].tolist() == [1.0, 3.0]
    assert math.isnan(shown[1])
    assert panel.plot.getAxis("left").logMode


def test_the_smoothing_slider(curves):
    store, panel = curves
    store.add((step, {"total": float(step)}) for step in range(10))
    panel.smoothing.setValue(0)
    assert np.array_equal(store.series["total"].smooth, store.series["total"].y)
    assert not panel.plot.curves["total"].raw.isVisible()  # the raw line is the smoothed one


def test_by_time_the_steps_stand_where_they_were_made(curves):
    store, panel = curves
    store.time.add(np.array([10.0, 20.0]), np.array([1.0, 3.0]))  # 10 s, then 30 s more
    store.add([(10, {"total": 2.0}), (20, {"total": 4.0})])
    store.mark(Mark(20, "pause", "Paused"))
    panel.axis.setCurrentIndex(1)
    assert panel.plot.curves["total"].smooth.xData.tolist() == [10.0, 40.0]
    assert panel.plot._mark_lines[0].value() == 40.0
    panel.plot.set_playhead(10)
    assert panel.plot._playhead.value() == 10.0
    assert read(panel, 39).splitlines()[0] == "step 20"
    assert panel.plot.getAxis("bottom").tickStrings([90.0], 1, 30) == ["1:30"]


def test_all_stays_in_view_until_one_zooms_and_comes_back(curves, qtbot):
    store, panel = curves
    store.add((step, {"total": float(step)}) for step in range(10))
    store.add((step, {"total": float(step)}) for step in range(10, 100))
    view = panel.plot.getViewBox()
    assert view.viewRange()[0][1] >= 99
    qtbot.keyClick(panel.plot, Qt.Key.Key_Plus)
    zoomed = view.viewRange()[0]
    assert zoomed[1] - zoomed[0] < 90
    store.add([(500, {"total": 1.0})])
    assert view.viewRange()[0] == zoomed
    panel.whole.click()
    assert view.viewRange()[0][1] >= 500


def test_the_picture_holds_legend_and_plot(curves):
    store, panel = curves
    store.add((step, {"total": float(step)}) for step in range(10))
    picture = panel.picture()
    assert picture.width() == 2 * panel.figure.width()
    ground, line = picture.pixelColor(2, 2), theme.COLOURS[theme.Theme.DARK]
    assert ground != QColor(line.surface)
    colours = {
        picture.pixelColor(x, y).name() for x in range(0, picture.width(), 3) for y in range(0, picture.height(), 3)
    }
    assert LINES[theme.Theme.DARK][0] in colours


def luminance(colour):
    parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in QColor(colour).getRgbF()[:3]]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("one", list(theme.Theme))
def test_lines_and_marks_can_be_seen_on_their_ground(one):
    ground = luminance(theme.COLOURS[one].surface)
    for colour in (*LINES[one], *MARKS[one].values()):
        low, high = sorted((luminance(colour), ground))
        assert (high + 0.05) / (low + 0.05) >= 4.5, colour  # also enough for the read-out's text
    assert len(set(LINES[one])) == len(LINES[one])


def test_the_theme_reaches_lines_and_legend(curves, qapp, qtbot):
    store, panel = curves
    store.add((step, {"total": float(step)}) for step in range(10))
    pen = lambda: panel.plot.curves["total"].smooth.opts["pen"].color().name()  # noqa: E731
    theme.prepare(qapp, theme.Theme.LIGHT)
    qtbot.waitUntil(lambda: pen() == LINES[theme.Theme.LIGHT][0])
    assert panel.plot.backgroundBrush().color().lightness() > 200
    theme.prepare(qapp, theme.Theme.DARK)
    qtbot.waitUntil(lambda: pen() == LINES[theme.Theme.DARK][0])


def test_twelve_curves_of_100_000_points_are_drawn_with_few(qtbot):
    store = CurveStore(smoothing=0.9)
    panel = CurvePanel(store, panel="losses")
    qtbot.addWidget(panel)
    panel.resize(700, 450)
    panel.show()
    steps, noise = np.arange(100_000.0), np.random.default_rng(0)
    series = {}
    for i in range(12):
        series[f"c{i}"] = Series(0.9)
        series[f"c{i}"].extend(steps, noise.normal(i, 1, len(steps)))
    series["c0"].y[54_321] = 400.0  # a peak that must not be lost
    store.take(series)
    drawn = [len(c.raw.xData) + len(c.smooth.xData) for c in panel.plot.curves.values()]
    assert max(drawn) < 2 * 3 * panel.width()
    assert np.nanmax(panel.plot.curves["c0"].raw.yData) == 400.0
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        panel.refresh()
        panel.plot.grab()
        seconds.append(time.perf_counter() - started)
    print(f"redraw: {1000 * min(seconds):.1f} ms")
    assert min(seconds) < 0.3  # 30 ms on an idle machine; a busy one must not fail the test
