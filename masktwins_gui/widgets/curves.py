"""Live curves: the raw line faint, the smoothed one strong, marks along the steps, a read-out under the pointer."""

from __future__ import annotations

from html import escape

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication, QCheckBox, QHBoxLayout, QSlider, QVBoxLayout, QWidget

from masktwins_gui import theme
from masktwins_gui.models.curves import CurveStore
from masktwins_gui.plain_text import plain_tip
from masktwins_gui.widgets.flow import FlowLayout

pg.setConfigOptions(imageAxisOrder="row-major", antialias=False)

MARK_COLOURS = {"checkpoint": theme.GOOD, "pause": theme.WARN, "change": theme.INFO, "phase": "#8a8a8a"}


class CurvePanel(QWidget):
    """Draws a CurveStore. Series of up to `dots` points show each as a dot."""

    def __init__(
        self, store: CurveStore, *, name: str, unit: str = "", dots: int = 1, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self._store = store
        self._dots = dots
        self._lines: dict[str, tuple[pg.PlotDataItem, pg.PlotDataItem]] = {}
        self._boxes: dict[str, QCheckBox] = {}
        self._colours: dict[str, str] = {}
        self._marks: list[pg.InfiniteLine] = []

        self._item = pg.PlotItem()
        self.plot = pg.PlotWidget(plotItem=self._item)
        self.plot.setAccessibleName(self.tr("Curves by step"))
        self.plot.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.plot.getAxis("bottom").setHeight(38)
        # pyqtgraph lets the axis' title stick out by 5 px.
        self._item.layout.setContentsMargins(0, 0, 0, 6)  # pyright: ignore[reportAttributeAccessIssue] - hides Qt's method
        self.plot.setLabel("bottom", self.tr("step"))
        self.plot.setLabel("left", unit)
        self.plot.showGrid(x=True, y=True, alpha=0.15)
        self.plot.setMenuEnabled(False)
        self._make_controls()
        self._lay_out()

        store.changed.connect(self.refresh)
        store.marked.connect(self._draw_marks)
        self.log_box.toggled.connect(self._set_log)
        self.smoothing.valueChanged.connect(lambda value: store.set_smoothing(value / 100))
        self.plot.scene().sigMouseMoved.connect(self._hover)  # pyright: ignore[reportAttributeAccessIssue] - pyqtgraph's scene
        self._colour()
        self.refresh()

    def _make_controls(self) -> None:
        self._cursor = pg.InfiniteLine(angle=90)
        self._cursor.hide()
        self._item.addItem(self._cursor, ignoreBounds=True)
        self.readout = theme.label("", "muted")
        self.readout.setTextFormat(Qt.TextFormat.RichText)
        self.readout.setMinimumWidth(10)
        self.log_box = QCheckBox(self.tr("log"))
        self.log_box.setObjectName(f"{self.objectName()}.log")
        self.log_box.setToolTip(self.tr("Logarithmic scale"))
        self.smoothing = QSlider(Qt.Orientation.Horizontal)
        self.smoothing.setObjectName(f"{self.objectName()}.smoothing")
        self.smoothing.setAccessibleName(self.tr("Smoothing"))
        self.smoothing.setToolTip(self.tr("Inertia of the smoothed line; the raw one stays, faint"))
        self.smoothing.setRange(0, 99)
        self.smoothing.setFixedWidth(70)
        self.smoothing.setValue(round(self._store.smoothing * 100))

    def _lay_out(self) -> None:
        self._legend = FlowLayout(spacing=10)
        bottom = QHBoxLayout()
        bottom.addWidget(self.readout, 1)
        bottom.addWidget(theme.label(self.tr("smooth"), "muted"))
        bottom.addWidget(self.smoothing)
        bottom.addWidget(self.log_box)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 6, 4, 4)
        layout.setSpacing(4)
        layout.addLayout(self._legend)
        layout.addWidget(self.plot, 1)
        layout.addLayout(bottom)

    # Drawing -----------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Draw the store's points."""
        for name in [n for n in self._lines if n not in self._store.series]:
            self._remove(name)
        log = self.log_box.isChecked()
        for name, series in self._store.series.items():
            raw, smooth = self._lines.get(name) or self._add(name)
            few = len(series) <= self._dots  # a single point makes no line
            raw.setData(series.x, _positive(series.y) if log else series.y)
            smooth.setData(series.x, _positive(series.smooth) if log else series.smooth)
            smooth.setSymbol("o" if few else None)  # pyright: ignore[reportArgumentType] - None means no symbol
            raw.setVisible(self._boxes[name].isChecked() and self._store.smoothing > 0)

    def _add(self, name: str) -> tuple[pg.PlotDataItem, pg.PlotDataItem]:
        turn, index = divmod(len(self._lines), len(theme.SERIES))
        colour = QColor(theme.SERIES[index])
        faint = QColor(colour)
        faint.setAlpha(85)
        style = Qt.PenStyle.DashLine if turn else Qt.PenStyle.SolidLine  # the colours begin anew
        pens = (pg.mkPen(faint, width=1, style=style), pg.mkPen(colour, width=1, style=style))
        pair = (self.plot.plot(pen=pens[0]), self.plot.plot(pen=pens[1]))
        for line in pair:
            line.setDownsampling(auto=True, method="peak")
            line.setClipToView(True)
        pair[1].setSymbolBrush(colour)
        pair[1].setSymbolPen(None)
        pair[1].setSymbolSize(5)
        self._lines[name] = pair
        words = name.replace("_", " ")
        box = QCheckBox(f"{words} ┅" if turn else words)
        box.setObjectName(f"{self.objectName()}.{name}")
        box.setChecked(True)
        box.setToolTip(plain_tip(self.tr("Show or hide {0}").format(words)))
        box.setStyleSheet(f"QCheckBox {{ color: {colour.name()}; font-weight: 600; }}")
        box.toggled.connect(lambda shown, name=name: self._show(name, shown))
        self._boxes[name], self._colours[name] = box, colour.name()
        self._legend.addWidget(box)
        return pair

    def _remove(self, name: str) -> None:
        for line in self._lines.pop(name):
            self.plot.removeItem(line)
        box = self._boxes.pop(name)
        self._legend.removeWidget(box)
        box.deleteLater()

    def _show(self, name: str, shown: bool) -> None:
        raw, smooth = self._lines[name]
        raw.setVisible(shown and self._store.smoothing > 0)
        smooth.setVisible(shown)

    def _set_log(self, log: bool) -> None:
        self.refresh()
        self.plot.setLogMode(y=log)

    def _draw_marks(self) -> None:
        for line in self._marks:
            self.plot.removeItem(line)
        self._marks = []
        for mark in self._store.marks:
            pen = pg.mkPen(MARK_COLOURS.get(mark.kind, "#8a8a8a"), width=1, style=Qt.PenStyle.DashLine)
            line = pg.InfiniteLine(mark.step, angle=90, pen=pen)
            line.setZValue(-10)
            self._item.addItem(line, ignoreBounds=True)
            self._marks.append(line)

    # Read-out ----------------------------------------------------------------------------------

    def _hover(self, position: QPointF) -> None:
        box = self.plot.getViewBox()
        inside = box.sceneBoundingRect().contains(position)
        self._cursor.setVisible(inside)
        if not inside:
            self.readout.setText("")
            return
        step = box.mapSceneToView(position).x()
        self._cursor.setPos(step)
        self.readout.setText(self.text_at(step))

    def text_at(self, step: float) -> str:
        """Values of every shown series next to a step, and a mark close by, as rich text."""
        parts, at = [], None
        for name, series in self._store.series.items():
            index = series.nearest(step)
            if index is None or not self._boxes[name].isChecked():
                continue
            at = series.x[index] if at is None else at
            colour = self._colours[name]
            words = escape(name.replace("_", " "))
            parts.append(f'<span style="color:{colour}">{words} {series.smooth[index]:.4g}</span>')
        if at is None:
            return ""
        low, high = self.plot.getViewBox().viewRange()[0]
        near = [escape(m.text) for m in self._store.marks if abs(m.step - step) < (high - low) / 60]
        return " &nbsp; ".join([self.tr("step {0}").format(f"{at:.0f}"), *parts, *near[:1]])

    # Theme -------------------------------------------------------------------------------------

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "plot"):
            self._colour()

    def _colour(self) -> None:
        palette = QApplication.palette()  # the style sheet overrides the widget's own
        self.plot.setBackground(palette.color(QPalette.ColorRole.Base))
        text = palette.color(QPalette.ColorRole.PlaceholderText)
        for side in ("bottom", "left"):
            axis = self.plot.getAxis(side)
            axis.setPen(pg.mkPen(text, width=1))
            axis.setTextPen(pg.mkPen(text))
        self._cursor.setPen(pg.mkPen(text, width=1))


def _positive(values: np.ndarray) -> np.ndarray:
    """Values a logarithm can show; others leave a gap."""
    return np.where(values > 0, values, np.nan)
