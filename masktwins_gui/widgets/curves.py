"""A panel of curves: legend, plot, read-out under the pointer, and what can be done with them."""

from __future__ import annotations

import math
from html import escape

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QImage, QPainter, QPixmap
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from masktwins_gui.models.comparison import Comparison
from masktwins_gui.models.curve_table import snapshot
from masktwins_gui.models.curves import CurveStore
from masktwins_gui.models.explanations import explanation
from masktwins_gui.plain_text import plain_tip
from masktwins_gui.widgets.controls import check_box, combo, describe, slider, tool_button
from masktwins_gui.widgets.curve_colours import NUM_COLOURS, line_colour
from masktwins_gui.widgets.flow import FlowLayout
from masktwins_gui.widgets.plot import CurvePlot, PlotLine

SWATCH = QSize(16, 10)
LONGEST_LABEL = 60  # characters in the legend; the tool tip has all
PREFERRED = ("total", "teacher", "score")  # of several runs, this curve is compared at first


class CurvePanel(QWidget):
    """Draws a CurveStore, or one curve of several runs. Series of up to `dots` points show each as a dot."""

    csv_wanted = Signal(object)  # tables of `models.curve_table`
    png_wanted = Signal(QImage)
    step_chosen = Signal(float)

    def __init__(
        self,
        store: CurveStore,
        *,
        panel: str,
        unit: str = "",
        dots: int = 1,
        comparison: Comparison | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName(f"train.{panel}")
        self._store, self._panel, self._comparison = store, panel, comparison
        self.boxes: dict[str, QCheckBox] = {}
        self.plot = CurvePlot(name=f"train.{panel}.plot", dots=dots)
        self.plot.setAccessibleName(self.tr("Curves: arrow keys read values, + and − zoom, 0 shows all"))
        self.plot.setToolTip(
            self.tr("Wheel zooms, dragging moves, a double click shows all; a click chooses a preview")
        )
        self.plot.setLabel("left", unit)
        self.readout = QLabel("", self.plot)
        self.readout.setTextFormat(Qt.TextFormat.RichText)
        self.readout.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.readout.setProperty("role", "readout")
        self.readout.hide()
        self._make_controls()
        self._lay_out()

        store.changed.connect(self.refresh)
        store.marked.connect(self._draw_marks)
        if comparison is not None:
            comparison.changed.connect(self.refresh)
        self.log_box.toggled.connect(self.plot.set_log)
        self.axis.currentIndexChanged.connect(lambda index: self.plot.set_by_time(index == 1))
        self.smoothing.valueChanged.connect(lambda value: store.set_smoothing(value / 100))
        self.compared.currentIndexChanged.connect(self.refresh)
        self.mean.toggled.connect(self.refresh)
        self.whole.clicked.connect(self.plot.show_all)
        self.plot.pointed.connect(self._point)
        self.plot.chosen.connect(self.step_chosen)
        self.refresh()

    def _make_controls(self) -> None:
        name = self.objectName()
        self.log_box = check_box(f"{name}.log", self.tr("log"), self.tr("Logarithmic scale"))
        tip = self.tr("Draw by step, or by the time spent on steps (pauses and evaluations left out)")
        self.axis = combo(f"{name}.axis", self.tr("Horizontal axis"), tip, characters=6)
        self.axis.addItems([self.tr("by step"), self.tr("by time")])
        tip = self.tr("Inertia of the smoothed line; the raw one stays, faint")
        value = round(self._store.smoothing * 100)
        self.smoothing = slider(f"{name}.smoothing", self.tr("Smoothing"), value, tip, largest=99)
        self.smoothing.setFixedWidth(60)
        self.whole = tool_button(f"{name}.reset", "fit", self.tr("Show all of the curves (0, or a double click)"))
        self.save = QToolButton()
        describe(self.save, f"{name}.save", self.tr("Save the curves"), self.tr("Save as a table or as a picture"))
        self.save.setText(self.tr("Save"))
        self.save.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.save.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        menu = QMenu(self.save)
        menu.addAction(self.tr("Table (CSV) …")).triggered.connect(self._save_csv)
        menu.addAction(self.tr("Picture (PNG) …")).triggered.connect(lambda: self.png_wanted.emit(self.picture()))
        self.save.setMenu(menu)
        tip = self.tr("Curve that is compared between the ticked runs")
        self.compared = combo(f"{name}.compared", self.tr("Curve that is compared"), tip)
        tip = self.tr("Draw runs that differ by their seed alone as their mean, with a band of one standard deviation")
        self.mean = check_box(f"{name}.mean", self.tr("mean of seeds"), tip)
        self.mean.setChecked(True)

    def _lay_out(self) -> None:
        self.figure = QWidget()
        self._legend = FlowLayout(spacing=10)
        figure = QVBoxLayout(self.figure)
        figure.setContentsMargins(0, 0, 0, 0)
        figure.setSpacing(4)
        figure.addLayout(self._legend)
        figure.addWidget(self.plot, 1)
        bottom = QHBoxLayout()
        bottom.setSpacing(6)
        top = QHBoxLayout()
        top.addWidget(self.compared)
        top.addWidget(self.mean)
        top.addStretch(1)
        for widget in (self.axis, self.log_box):
            bottom.addWidget(widget)
        bottom.addWidget(self.smoothing)
        bottom.addStretch(1)
        bottom.addWidget(self.whole)
        bottom.addWidget(self.save)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 6, 4, 4)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(self.figure, 1)
        layout.addLayout(bottom)

    # Drawing -----------------------------------------------------------------------------------

    @property
    def compares(self) -> bool:
        return self._comparison is not None and self._comparison.active

    def refresh(self) -> None:
        """Draw the store's points, or the compared runs'."""
        self._offer_compared()
        lines = self._compared_lines() if self.compares else self._own_lines()
        self.plot.set_lines(lines)
        self._draw_marks()
        self._fill_legend(lines)

    def _own_lines(self) -> list[PlotLine]:
        return [
            PlotLine(name, name.replace("_", " "), series, self._store.time, index, explanation(self._panel, name))
            for index, (name, series) in enumerate(self._store.series.items())
        ]

    def _compared_lines(self) -> list[PlotLine]:
        assert self._comparison is not None
        curves = self._comparison.curves(self._panel, self.compared.currentText(), mean=self.mean.isChecked())
        return [
            PlotLine(curve.key, curve.label, curve.series, curve.time, index, spread=curve.spread)
            for index, curve in enumerate(curves)
        ]

    def _offer_compared(self) -> None:
        self.compared.setVisible(self.compares)
        self.mean.setVisible(self.compares and self._comparison is not None and self._comparison.has_repeats)
        names = self._comparison.names(self._panel) if self.compares and self._comparison is not None else []
        if not names or names == [self.compared.itemText(i) for i in range(self.compared.count())]:
            return
        kept = self.compared.currentText()
        self.compared.blockSignals(True)
        self.compared.clear()
        self.compared.addItems(names)
        wanted = kept if kept in names else next((name for name in PREFERRED if name in names), names[0])
        self.compared.setCurrentText(wanted)
        self.compared.blockSignals(False)

    def _draw_marks(self) -> None:
        self.plot.set_marks([] if self.compares else self._store.marks, self._store.time)

    # Legend ------------------------------------------------------------------------------------

    def _fill_legend(self, lines: list[PlotLine]) -> None:
        keys = [line.key for line in lines]
        if list(self.boxes) == keys:
            return
        shown = {key: box.isChecked() for key, box in self.boxes.items()}
        for box in self.boxes.values():
            self._legend.removeWidget(box)
            box.deleteLater()
        self.boxes = {line.key: self._box(line, checked=shown.get(line.key, True)) for line in lines}

    def _box(self, line: PlotLine, *, checked: bool) -> QCheckBox:
        shown = line.label if len(line.label) <= LONGEST_LABEL else f"{line.label[: LONGEST_LABEL - 1]}…"
        box = QCheckBox(shown.replace("&", "&&"))
        box.setObjectName(f"{self.objectName()}.{line.key}")
        box.setIcon(_swatch(line.index))
        box.setIconSize(SWATCH)
        box.setChecked(checked)
        box.setAccessibleName(line.label)
        box.setToolTip(plain_tip(line.tip or self.tr("Show or hide {0}").format(line.label)))
        box.toggled.connect(lambda on, key=line.key: self.plot.set_shown(key, on))
        if not checked:
            self.plot.set_shown(line.key, False)
        self._legend.addWidget(box)
        box.show()
        return box

    def retint(self) -> None:
        """Draw the legend in the colours of the present theme."""
        for line in self.plot.lines:
            if line.key in self.boxes:
                self.boxes[line.key].setIcon(_swatch(line.index))

    def changeEvent(self, event) -> None:  # noqa: ANN001 - QEvent
        super().changeEvent(event)
        if event.type() == event.Type.PaletteChange and hasattr(self, "boxes"):
            self.retint()

    # Read-out ----------------------------------------------------------------------------------

    def _point(self, x: float) -> None:
        text = "" if math.isnan(x) else self.text_at(x)
        self.readout.setVisible(bool(text))
        if not text:
            return
        self.readout.setText(text)
        self.readout.adjustSize()
        box = self.plot.getViewBox()
        area = box.sceneBoundingRect()
        low, high = box.viewRange()[0]
        on_left = x > (low + high) / 2  # out of the pointer's way
        left = area.left() + 6 if on_left else area.right() - self.readout.width() - 6
        self.readout.move(int(left), int(area.top()) + 6)

    def text_at(self, x: float) -> str:
        """Return the values of every shown curve at an x, and a mark close by, as rich text."""
        rows, step = [], None
        for line in self.plot.lines:
            index = line.series.nearest(self.plot.step_at(x, line.time))
            if index is None or not self.boxes[line.key].isChecked():
                continue
            step = line.series.x[index] if step is None else step
            value = f"{line.series.smooth[index]:.4g}"
            if line.spread is not None:
                value += f" ± {line.spread[index]:.2g}"
            colour = line_colour(line.index).name()
            rows.append(f'<span style="color:{colour}">■</span> {escape(line.label)} <b>{value}</b>')
        if step is None:
            return ""
        marks = [escape(mark.text) for mark in self.plot.marks_near(x)[:3]]
        return "<br>".join([self.tr("step {0}").format(f"{step:.0f}"), *rows, *marks])

    # Saving ------------------------------------------------------------------------------------

    def _save_csv(self) -> None:
        shown = [line for line in self.plot.lines if self.boxes[line.key].isChecked()]
        self.csv_wanted.emit([snapshot(line.label, line.series, line.time) for line in shown])

    def picture(self) -> QImage:
        """Draw legend and plot as a picture of twice the resolution."""
        image = QImage(self.figure.size() * 2, QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(2)
        image.fill(self.palette().color(self.backgroundRole()))
        self.figure.render(image)
        return image


def _swatch(index: int) -> QIcon:
    """A piece of the line: solid, and dashed once the colours repeat."""
    pixmap = QPixmap(SWATCH * 2)
    pixmap.setDevicePixelRatio(2)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    pen = painter.pen()
    pen.setColor(QColor(line_colour(index)))
    pen.setWidth(3)
    pen.setStyle(Qt.PenStyle.SolidLine if index < NUM_COLOURS else Qt.PenStyle.DotLine)
    painter.setPen(pen)
    painter.drawLine(0, SWATCH.height() // 2, SWATCH.width(), SWATCH.height() // 2)
    painter.end()
    return QIcon(pixmap)
