"""A plot of curves by step or by time, quick enough for many long ones, with marks, a pointer and a second cursor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPalette, QPen, QResizeEvent
from PySide6.QtWidgets import QApplication

from masktwins_gui.models.curves import Mark, Series, TrainingTime
from masktwins_gui.models.peaks import peaks
from masktwins_gui.widgets.curve_colours import FAINT, NUM_COLOURS, line_colour, mark_colour
from masktwins_gui.widgets.run_status import clock

pg.setConfigOptions(imageAxisOrder="row-major", antialias=False)

MARK_STYLES = {
    "checkpoint": Qt.PenStyle.DotLine,
    "pause": Qt.PenStyle.DashLine,
    "change": Qt.PenStyle.DashDotLine,
    "phase": Qt.PenStyle.SolidLine,
}
MARGIN = 0.04  # of the curves' height, above and below them


@dataclass(frozen=True)
class PlotLine:
    """One curve. `index` chooses its colour; `spread` is drawn as a band around it."""

    key: str
    label: str
    series: Series
    time: TrainingTime
    index: int
    tip: str = ""
    spread: np.ndarray | None = None


class StepAxis(pg.AxisItem):
    """Labels steps as numbers, and seconds as times."""

    by_time = False

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        if self.by_time:
            return [clock(value) for value in values]
        return super().tickStrings(values, scale, spacing)


class _Curve:
    """The items that draw one PlotLine: raw and faint, smooth and strong, dots where there are few points, a band."""

    def __init__(self, plot: pg.PlotItem) -> None:
        self._plot = plot
        self.raw, self.smooth = pg.PlotCurveItem(), pg.PlotCurveItem()
        self._dots = pg.ScatterPlotItem(size=6, pen=None)
        self._low, self._high = pg.PlotCurveItem(), pg.PlotCurveItem()
        self._band = pg.FillBetweenItem(self._low, self._high)
        self.shown = True
        for item in (self._band, self.raw, self.smooth, self._dots):
            plot.addItem(item, ignoreBounds=True)

    def colour(self, index: int) -> None:
        colour = line_colour(index)
        faint = QColor(colour)
        faint.setAlpha(FAINT)
        style = Qt.PenStyle.SolidLine if index < NUM_COLOURS else Qt.PenStyle.DashLine  # the colours repeat
        self.raw.setPen(pg.mkPen(faint, width=1, style=style))
        self.smooth.setPen(pg.mkPen(colour, width=2 if style == Qt.PenStyle.SolidLine else 1, style=style))
        self._dots.setBrush(pg.mkBrush(colour))
        faint.setAlpha(FAINT // 2)
        self._band.setBrush(pg.mkBrush(faint))

    def draw(self, line: PlotLine, view: tuple[int, float, float], *, log: bool, by_time: bool, dots: int) -> None:
        """Draw what is in view: (width in pixels, lowest x, highest x)."""
        series, shown = line.series, self.shown
        x = line.time.at(series.x) if by_time else series.x
        self.raw.setVisible(shown and series.smoothing > 0)
        self.smooth.setVisible(shown)
        self._dots.setVisible(shown and len(series) <= dots)
        self._band.setVisible(shown and line.spread is not None)
        if self.raw.isVisible():
            self.raw.setData(*peaks(x, scaled(series.y, log=log), *view), connect="finite")
        self.smooth.setData(*peaks(x, scaled(series.smooth, log=log), *view), connect="finite")
        if self._dots.isVisible():
            self._dots.setData(x, scaled(series.smooth, log=log))
        if line.spread is not None:
            self._low.setData(*peaks(x, scaled(series.y - line.spread, log=log), *view))
            self._high.setData(*peaks(x, scaled(series.y + line.spread, log=log), *view))

    def remove(self) -> None:
        for item in (self._band, self.raw, self.smooth, self._dots):
            self._plot.removeItem(item)


class CurvePlot(pg.PlotWidget):
    """Draws PlotLines. Wheel zooms, dragging moves, a double click shows all; keys ← → + − 0."""

    pointed = Signal(float)  # x under the pointer; NaN outside
    chosen = Signal(float)  # step that was clicked on

    def __init__(self, *, name: str, dots: int = 1) -> None:
        self._axis = StepAxis("bottom")
        self._item = pg.PlotItem(axisItems={"bottom": self._axis})
        super().__init__(plotItem=self._item)
        self.setObjectName(name)
        self._dots = dots
        self._lines: dict[str, PlotLine] = {}
        self.curves: dict[str, _Curve] = {}
        self._marks: tuple[Mark, ...] = ()
        self._mark_lines: list[pg.InfiniteLine] = []
        self._time = TrainingTime()
        self._log = self._by_time = False
        self._all = True  # everything is in view, and stays so as the curves grow
        self._fitting = False
        self._pointer, self._playhead = pg.InfiniteLine(angle=90), pg.InfiniteLine(angle=90)
        self._playhead_step: float | None = None
        self._pointed_at = math.nan
        for line in (self._pointer, self._playhead):
            line.hide()
            self._item.addItem(line, ignoreBounds=True)
        self._view = self._item.getViewBox()
        self._set_up()

        self._view.disableAutoRange()
        self._view.sigXRangeChanged.connect(self._on_range)
        self._view.sigRangeChangedManually.connect(self._on_zoom)
        self.scene().sigMouseMoved.connect(self._on_mouse)  # pyright: ignore[reportAttributeAccessIssue] - pyqtgraph's
        self.scene().sigMouseClicked.connect(self._on_click)  # pyright: ignore[reportAttributeAccessIssue]

    def _set_up(self) -> None:
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._axis.setHeight(38)
        # pyqtgraph lets the axis' title stick out by 5 px.
        self._item.layout.setContentsMargins(0, 0, 0, 6)  # pyright: ignore[reportAttributeAccessIssue] - hides Qt's method
        self._item.showGrid(x=True, y=True, alpha=0.15)
        for side in (
            "bottom",
            "left",
        ):  # the grid takes longer than twelve curves: it is drawn again when the range changes
            self._item.getAxis(side).setCacheMode(pg.QtWidgets.QGraphicsItem.CacheMode.DeviceCoordinateCache)
        self._item.setMenuEnabled(False)
        self._item.hideButtons()
        self.set_by_time(False)
        self._colour()

    # Content -----------------------------------------------------------------------------------

    def set_lines(self, lines: Sequence[PlotLine]) -> None:
        """Draw these lines; one that was there keeps whether it is shown."""
        wanted = {line.key: line for line in lines}
        for key in [key for key in self.curves if key not in wanted]:
            self.curves.pop(key).remove()
        for key, line in wanted.items():
            known = self._lines.get(key)
            if key not in self.curves:
                self.curves[key] = _Curve(self._item)
                known = None
            if known is None or known.index != line.index:
                self.curves[key].colour(line.index)
        self._lines = wanted
        self.refresh()

    @property
    def lines(self) -> tuple[PlotLine, ...]:
        return tuple(self._lines.values())

    def set_shown(self, key: str, shown: bool) -> None:
        self.curves[key].shown = shown
        self.refresh()

    def set_marks(self, marks: Sequence[Mark], time: TrainingTime) -> None:
        """Draw vertical lines; `time` says when their steps were."""
        self._time = time
        if tuple(marks[: len(self._marks)]) != self._marks:
            self._drop_marks()
        for mark in marks[len(self._marks) :]:
            line = pg.InfiniteLine(self._x(mark.step), angle=90, pen=_mark_pen(mark.kind))
            line.setZValue(-10)
            self._item.addItem(line, ignoreBounds=True)
            self._mark_lines.append(line)
        self._marks = tuple(marks)

    def _drop_marks(self) -> None:
        for line in self._mark_lines:
            self._item.removeItem(line)
        self._mark_lines, self._marks = [], ()

    def set_playhead(self, step: float | None) -> None:
        """Put the second cursor at a step; None hides it."""
        self._playhead_step = step
        self._playhead.setVisible(step is not None)
        if step is not None:
            self._playhead.setPos(self._x(step))

    # Axes --------------------------------------------------------------------------------------

    def set_log(self, log: bool) -> None:
        self._log = log
        self._item.getAxis("left").setLogMode(log)
        self.show_all()

    def set_by_time(self, by_time: bool) -> None:
        self._by_time = self._axis.by_time = by_time
        self._item.setLabel("bottom", self.tr("training time") if by_time else self.tr("step"))
        marks, self._marks = self._marks, ()
        self._drop_marks()
        self.set_marks(marks, self._time)
        self.set_playhead(self._playhead_step)
        self.show_all()

    def show_all(self) -> None:
        """Put all curves in view, and keep them in view as they grow."""
        self._all = True
        self.refresh()

    def step_at(self, x: float, time: TrainingTime) -> float:
        """Return the step that stands at an x."""
        return time.step_at(x) if self._by_time else x

    def _x(self, step: float) -> float:
        return float(self._time.at(np.array([step]))[0]) if self._by_time else step

    def marks_near(self, x: float) -> list[Mark]:
        """Return the marks within a few pixels of an x."""
        low, high = self._view.viewRange()[0]
        return [mark for mark in self._marks if abs(self._x(mark.step) - x) < (high - low) / 60]

    # Drawing -----------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Draw the series' points."""
        if self._all:
            self._fit()
        low, high = self._view.viewRange()[0]
        view = (max(100, int(self._view.width())), low, high)
        for key, line in self._lines.items():
            self.curves[key].draw(line, view, log=self._log, by_time=self._by_time, dots=self._dots)

    def _fit(self) -> None:
        shown = [line for key, line in self._lines.items() if self.curves[key].shown and len(line.series)]
        if not shown:
            return
        self._fitting = True
        right = max(self._end(line) for line in shown)
        self._view.setXRange(min(0.0, right), right or 1, padding=0.01)
        low, high = _heights(shown, log=self._log)
        if math.isfinite(low):
            margin = MARGIN * (high - low) or 0.5
            self._view.setYRange(low - margin, high + margin, padding=0)
        self._fitting = False

    def _end(self, line: PlotLine) -> float:
        last = line.series.x[-1:]
        return float((line.time.at(last) if self._by_time else last)[0])

    def _on_range(self, *_: object) -> None:
        if not self._fitting:
            self.refresh()

    def _on_zoom(self, *_: object) -> None:
        self._all = False

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().resizeEvent(event)
        if hasattr(self, "_view"):
            self.refresh()

    # Mouse and keys ----------------------------------------------------------------------------

    def _on_mouse(self, position: QPointF) -> None:
        inside = self._view.sceneBoundingRect().contains(position)
        self.point_at(self._view.mapSceneToView(position).x() if inside else math.nan)

    def point_at(self, x: float) -> None:
        """Put the pointer's line at an x; NaN hides it."""
        self._pointed_at = x
        self._pointer.setVisible(math.isfinite(x))
        if math.isfinite(x):
            self._pointer.setPos(x)
        self.pointed.emit(x)

    def leaveEvent(self, ev: QEvent) -> None:
        super().leaveEvent(ev)
        self.point_at(math.nan)

    def _on_click(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and not event.double():  # pyright: ignore[reportAttributeAccessIssue]
            position = event.scenePos()  # pyright: ignore[reportAttributeAccessIssue] - pyqtgraph's event
            if self._view.sceneBoundingRect().contains(position):
                self.chosen.emit(self.step_at(self._view.mapSceneToView(position).x(), self._time))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        super().mouseDoubleClickEvent(event)
        self.show_all()

    def keyPressEvent(self, ev: QKeyEvent) -> None:
        low, high = self._view.viewRange()[0]
        match ev.key():
            case Qt.Key.Key_Left | Qt.Key.Key_Right:
                start = self._pointed_at if math.isfinite(self._pointed_at) else high
                move = (high - low) / 100 * (1 if ev.key() == Qt.Key.Key_Right else -1)
                self.point_at(min(high, max(low, start + move)))
            case Qt.Key.Key_Plus | Qt.Key.Key_Minus:
                factor = 0.8 if ev.key() == Qt.Key.Key_Plus else 1.25
                self._all = False
                self._view.scaleBy(x=factor)
            case Qt.Key.Key_0 | Qt.Key.Key_Home:
                self.show_all()
            case Qt.Key.Key_Return | Qt.Key.Key_Enter if math.isfinite(self._pointed_at):
                self.chosen.emit(self.step_at(self._pointed_at, self._time))
            case _:
                super().keyPressEvent(ev)

    # Theme -------------------------------------------------------------------------------------

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "_view"):
            self._colour()

    def _colour(self) -> None:
        palette = QApplication.palette()  # the style sheet overrides the widget's own
        self.setBackground(palette.color(QPalette.ColorRole.Base))
        text = palette.color(QPalette.ColorRole.PlaceholderText)
        for side in ("bottom", "left"):
            axis = self._item.getAxis(side)
            axis.setPen(pg.mkPen(text, width=1))
            axis.setTextPen(pg.mkPen(text))
        self._pointer.setPen(pg.mkPen(text, width=1))
        self._playhead.setPen(pg.mkPen(palette.color(QPalette.ColorRole.WindowText), width=1))
        for key, line in self._lines.items():
            self.curves[key].colour(line.index)
        for mark, item in zip(self._marks, self._mark_lines, strict=True):
            item.setPen(_mark_pen(mark.kind))


def scaled(values: np.ndarray, *, log: bool) -> np.ndarray:
    """Return the values as they are drawn: with a logarithm, those it cannot show leave a gap."""
    if not log:
        return values
    return np.log10(values, out=np.full(len(values), math.nan), where=values > 0)


def _heights(lines: Sequence[PlotLine], *, log: bool) -> tuple[float, float]:
    """Lowest and highest drawn value; NaN where there is none."""
    ends = []
    for line in lines:
        spread = 0.0 if line.spread is None else line.spread
        for values in (line.series.y - spread, line.series.y + spread):
            drawn = scaled(values, log=log)
            ends += [np.fmin.reduce(drawn, initial=math.inf), np.fmax.reduce(drawn, initial=-math.inf)]
    finite = [end for end in ends if math.isfinite(end)]
    return (min(finite), max(finite)) if finite else (math.nan, math.nan)


def _mark_pen(kind: str) -> QPen:
    return pg.mkPen(mark_colour(kind), width=1, style=MARK_STYLES.get(kind, Qt.PenStyle.DotLine))
