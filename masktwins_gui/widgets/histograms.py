"""The colour histograms of both cameras in one plot."""

from __future__ import annotations

from collections.abc import Mapping

import pyqtgraph as pg
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QApplication, QWidget

from core.checking.statistics import DomainStatistics
from masktwins_gui import theme

STYLES = {"source": Qt.PenStyle.SolidLine, "target": Qt.PenStyle.DashLine}


class HistogramPlot(pg.PlotWidget):
    """Red, green and blue; the source solid, the target dashed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._item = pg.PlotItem()
        super().__init__(parent, plotItem=self._item)
        self.setAccessibleName(self.tr("Colour histograms of source and target"))
        self.setToolTip(self.tr("How often each grey level occurs in each colour channel"))
        self.setMouseEnabled(x=False, y=False)
        self.setMenuEnabled(False)
        self.hideButtons()
        self.getAxis("bottom").setHeight(44)
        self.setLabel("bottom", self.tr("grey level"))
        self.setLabel("left", self.tr("share of pixels, %"))
        self.setMinimumHeight(120)
        self._domains: Mapping[str, DomainStatistics] = {}
        self._colour()

    def show_domains(self, domains: Mapping[str, DomainStatistics]) -> None:
        """Draw the curves of "source" and "target", as far as there are any."""
        self._domains = {name: domains[name] for name in STYLES if name in domains and domains[name].num_read}
        self._draw()

    def _draw(self) -> None:
        self._item.clear()
        for name, domain in self._domains.items():
            self._draw_domain(domain, STYLES[name])

    def _draw_domain(self, domain: DomainStatistics, style: Qt.PenStyle) -> None:
        colours = theme.colours()
        for channel, colour in zip(domain.histograms, (colours.bad, colours.good, colours.info), strict=True):
            width = 256 / len(channel)
            centres = [width * (i + 0.5) for i in range(len(channel))]
            self.plot(centres, [100 * share for share in channel], pen=pg.mkPen(colour, width=1, style=style))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "_domains"):
            self._colour()

    def _colour(self) -> None:
        palette = QApplication.palette()  # the style sheet overrides the widget's own
        self.setBackground(palette.color(QPalette.ColorRole.Base))
        text = palette.color(QPalette.ColorRole.PlaceholderText)
        for side in ("bottom", "left"):
            self.getAxis(side).setPen(pg.mkPen(text, width=1))
            self.getAxis(side).setTextPen(pg.mkPen(text))
        self._draw()
