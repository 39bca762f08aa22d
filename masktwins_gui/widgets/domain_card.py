"""The domain card: what tells the two cameras apart before any model."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from core.checking.statistics import DomainGap, DomainStatistics, Statistics
from masktwins_gui import theme
from masktwins_gui.plain_text import plain_tip

if TYPE_CHECKING:
    from masktwins_gui.widgets.histograms import HistogramPlot


class DomainCard(QWidget):
    """A table of figures and the colour histograms, source solid, target dashed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("data.domains")
        self.sentence = theme.label("")
        self.sentence.setWordWrap(True)
        self._card = QFrame()
        self._card.setProperty("role", "card")
        self._grid = QGridLayout(self._card)
        self._grid.setContentsMargins(12, 10, 12, 10)
        self._grid.setHorizontalSpacing(18)
        self._cells: dict[tuple[str, int], QLabel] = {}
        self._make_table()
        self._legend = theme.label(self.tr("Red, green and blue: source solid, target dashed"), "muted")
        head = QHBoxLayout()
        head.addWidget(theme.label(self.tr("Colour histograms"), "heading"))
        head.addStretch(1)
        head.addWidget(self._legend)
        layout = self._column = QVBoxLayout(self)
        layout.setSpacing(10)
        layout.addWidget(self.sentence)
        layout.addWidget(self._card)
        layout.addLayout(head)
        layout.addStretch(0)
        self._statistics: Statistics | None = None
        self.clear()

    @cached_property
    def plot(self) -> HistogramPlot:
        """The histograms; made when they are first looked at, as the plotting library is large."""
        from masktwins_gui.widgets.histograms import HistogramPlot

        plot = HistogramPlot()
        self._column.insertWidget(self._column.count() - 1, plot, 1)
        self._draw(plot)
        return plot

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.plot  # noqa: B018 - makes it

    def _make_table(self) -> None:
        rows = (
            ("images", self.tr("Images")),
            ("size", self.tr("Most frequent size")),
            ("brightness", self.tr("Brightness")),
            ("contrast", self.tr("Contrast")),
            ("saturation", self.tr("Saturation")),
            ("sharpness", self.tr("Sharpness")),
        )
        for column, title in enumerate(("", self.tr("Source"), self.tr("Target"), self.tr("Difference"))):
            self._grid.addWidget(theme.label(title, "heading"), 0, column)
        for row, (key, title) in enumerate(rows, start=1):
            self._grid.addWidget(theme.label(title, "muted"), row, 0)
            for column in (1, 2, 3):
                cell = theme.label("–")
                self._cells[key, column] = cell
                self._grid.addWidget(cell, row, column)
        self._grid.setColumnStretch(3, 1)

    def clear(self) -> None:
        for cell in self._cells.values():
            cell.setText("–")
        self._show(None)
        self.sentence.setText(self.tr("The check measures both cameras; the figures appear here."))

    def show_statistics(self, statistics: Statistics) -> None:
        """Fill in the card."""
        self.clear()
        for column, name in ((1, "source"), (2, "target")):
            domain = statistics.domains.get(name)
            if domain is not None and domain.num_read:
                self._fill(column, domain)
        if statistics.gap is not None:
            self._fill_gap(statistics.gap)
            self.sentence.setText(self._describe(statistics.gap))
        self._show(statistics)

    def _show(self, statistics: Statistics | None) -> None:
        self._statistics = statistics
        if "plot" in vars(self):
            self._draw(self.plot)

    def _draw(self, plot: HistogramPlot) -> None:
        plot.show_domains(self._statistics.domains if self._statistics is not None else {})

    def _fill(self, column: int, domain: DomainStatistics) -> None:
        (height, width), number = domain.sizes[0]
        others = len(domain.sizes) - 1
        size = f"{width} × {height}"
        self._cells["images", column].setText(str(domain.num_images))
        self._cells["size", column].setText(self.tr("{0} (and {1} others)").format(size, others) if others else size)
        tip = self.tr("{0} of {1} images").format(number, domain.num_read)
        self._cells["size", column].setToolTip(plain_tip(tip))
        self._cells["brightness", column].setText(f"{domain.brightness_mean:.0f} ± {domain.brightness_spread:.0f}")
        self._cells["contrast", column].setText(f"{domain.brightness_std:.0f}")
        self._cells["saturation", column].setText(f"{domain.saturation:.2f}")
        self._cells["sharpness", column].setText(f"{domain.sharpness:.0f}")

    def _fill_gap(self, gap: DomainGap) -> None:
        self._cells["size", 3].setText(_times(gap.size))
        self._cells["brightness", 3].setText(self.tr("{0} grey levels").format(f"{gap.brightness:+.0f}"))
        self._cells["contrast", 3].setText(f"{gap.contrast:+.0f}")
        self._cells["saturation", 3].setText(f"{gap.saturation:+.2f}")
        self._cells["sharpness", 3].setText(_times(gap.sharpness))

    def _describe(self, gap: DomainGap) -> str:
        words = []
        if abs(gap.brightness) >= 8:
            words.append(self.tr("brighter") if gap.brightness > 0 else self.tr("darker"))
        if abs(gap.contrast) >= 8:
            words.append(self.tr("richer in contrast") if gap.contrast > 0 else self.tr("flatter"))
        if abs(gap.saturation) >= 0.08:
            words.append(self.tr("more colourful") if gap.saturation > 0 else self.tr("paler"))
        if abs(gap.sharpness) >= 0.7:
            words.append(self.tr("sharper or noisier") if gap.sharpness > 0 else self.tr("softer"))
        if not words:
            return self.tr("By brightness, colour and sharpness, the two cameras look alike.")
        return self.tr("The target is {0} than the source; a colour lies {1:.0f} grey levels off on average.").format(
            ", ".join(words), gap.colour
        )


def _times(log2_ratio: float) -> str:
    if not math.isfinite(log2_ratio):
        return "–"
    return f"× {2**log2_ratio:.2g}" if abs(log2_ratio) < 6 else f"2^{log2_ratio:+.0f}"
