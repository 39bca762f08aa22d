"""The middle of the compare desk: the pictures, what they wait for, and what lies under the pointer."""

from __future__ import annotations

from PySide6.QtCore import QPoint
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from core.dataset.folders import Pair
from core.evaluation.compare import Ranked
from masktwins_gui import theme
from masktwins_gui.models.desk import Cell, mask_of
from masktwins_gui.models.look import delta_of_cell
from masktwins_gui.models.services import Jobs, Stage
from masktwins_gui.pages.inspect.loader import Loader
from masktwins_gui.pages.inspect.toolbar import Toolbar
from masktwins_gui.plain_text import plain_tip
from masktwins_gui.widgets.class_toggles import ClassToggles
from masktwins_gui.widgets.compare_view import CompareView


class DeskView(QWidget):
    """Shows what the loader brings, in the way that the toolbar says."""

    def __init__(self, loader: Loader, toolbar: Toolbar, jobs: Jobs, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._loader, self._toolbar, self._jobs = loader, toolbar, jobs
        self._cell: Cell | None = None
        self._region = -1
        self.compare = CompareView()
        self.legend = ClassToggles()
        self.where = theme.label("")
        self.where.setObjectName("inspect.where")
        self.stage = theme.label("", "muted")
        self.stage.setObjectName("inspect.stage")
        self.busy = QProgressBar()
        self.busy.setObjectName("inspect.busy")
        self.busy.setAccessibleName(self.tr("Predicting"))
        self.busy.setToolTip(self.tr("Something is being read or predicted"))
        self.busy.setRange(0, 0)
        self.busy.setTextVisible(False)
        self.busy.setFixedSize(60, 8)
        self.busy.hide()
        self.probe = theme.label("", "muted")
        self.probe.setObjectName("inspect.probe")
        for label in (self.stage, self.probe):  # a long text must not widen the page
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.problem = theme.label("", "error")
        self.problem.setObjectName("inspect.problem")
        self.problem.setWordWrap(True)
        self.problem.hide()
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.addWidget(self.where)
        head.addWidget(self.busy)
        head.addWidget(self.stage, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(self.compare, 1)
        for widget in (self.probe, self.problem, self.legend):
            column.addWidget(widget)
        self.setFocusProxy(self.compare)

    def _connect(self) -> None:
        self.compare.hovered.connect(self._show_probe)
        self.legend.hidden_changed.connect(self._show_classes)
        self._toolbar.mode_changed.connect(self.compare.set_mode)
        self._toolbar.opacity_changed.connect(self.compare.set_opacity)
        self._toolbar.confidence_changed.connect(self._on_confidence)
        self._toolbar.rate_changed.connect(self.compare.canvas.set_blinks_per_second)
        self._toolbar.delta_kind_changed.connect(self._show_delta)
        self._toolbar.next_region_requested.connect(self.next_region)
        self._toolbar.fit_requested.connect(self.compare.viewport.reset)
        self._loader.photo_ready.connect(self._show_photo)
        self._loader.side_ready.connect(self._show_side)
        self._loader.truth_ready.connect(self._show_truth)
        self._loader.delta_ready.connect(self._show_cell)
        self._loader.stage_changed.connect(self.show_stage)
        self._loader.failed.connect(self.show_problem)

    # An image ----------------------------------------------------------------------------------

    def turn_to(self, pair: Pair | None, thumbnail: QImage) -> None:
        """Forget the image before; the thumbnail stands for the new one until it has been read."""
        self._region = -1
        self.problem.hide()
        self.probe.clear()
        self.compare.clear()
        self.where.setText(pair.name if pair else "")
        if pair is None:
            self.show_stage(None)
        elif not thumbnail.isNull():
            self.compare.show_photo(thumbnail)

    def show_stage(self, stage: Stage | None) -> None:
        """Say what is awaited; else where the last prediction was computed."""
        texts = {
            Stage.LIBRARY: self.tr("Loading PyTorch, once per start: some seconds …"),
            Stage.MODEL: self.tr("Loading the model …"),
            Stage.IMAGE: self.tr("Predicting …"),
        }
        self.busy.setVisible(stage is not None)
        place = self.tr("Computed on {0}").format(self._loader.place) if self._loader.place else ""
        self.stage.setText(texts[stage] if stage else place)
        if stage:
            self.compare.set_hint(texts[stage])

    def show_problem(self, message: str, details: str) -> None:
        """Show an error; what is known of the image stays, and nothing else."""
        self.compare.show_side(0, self._loader.ranked(0))
        self.compare.show_side(1, self._loader.ranked(1))
        self.compare.set_hint("")
        self.problem.setText(message)
        self.problem.setToolTip(plain_tip(details))
        self.problem.show()

    def show_cell(self, cell: Cell | None) -> None:
        """Show the pixels of a cell of the matrix alone, or all."""
        self._cell = cell
        self._show_cell()

    def next_region(self) -> None:
        """Zoom to the next largest region that B broke, or without labels changed."""
        delta = self._loader.delta
        if delta is None:
            return
        if not delta.regions:
            self.probe.setText(self.tr("B broke nothing here.") if delta.outcomes else self.tr("Nothing changes here."))
            return
        self._region = (self._region + 1) % len(delta.regions)
        region = delta.regions[self._region]
        names = self._loader.classes.names
        text = self.tr("Broken region {0} of {1}: {2:,} pixels, most from {3} to {4}")
        if delta.outcomes is None:
            text = self.tr("Changed region {0} of {1}: {2:,} pixels, most from {3} to {4}")
        self.compare.show_region(region.x, region.y, region.width, region.height)
        self.probe.setText(
            text.format(self._region + 1, len(delta.regions), region.area, names[region.before], names[region.after])
        )

    # What the loader brings --------------------------------------------------------------------

    def _show_photo(self) -> None:
        if (photo := self._loader.photo) is not None:
            self.compare.show_photo(photo.image)

    def _show_side(self, side: int) -> None:
        self._show_classes()
        self.compare.show_side(side, self._loader.ranked(side))
        self._show_hidden()
        self._show_cell()

    def _show_classes(self) -> None:
        classes = self._loader.classes
        self.legend.set_classes(classes.names, classes.palette)
        self.compare.set_classes(classes.palette, self.legend.hidden)

    def _show_truth(self) -> None:
        self.compare.show_label(self._loader.truth)
        self._toolbar.set_labelled(self._loader.truth is not None)

    def _show_delta(self) -> None:
        delta = self._loader.delta
        if delta is not None and self._cell is None:
            by_label = self._toolbar.shows_outcomes and delta.outcomes is not None
            self.compare.show_delta(delta.outcomes if by_label else delta.changes, self._caption(by_label))

    def _show_cell(self) -> None:
        first, second, photo = self._loader.ranked(0), self._loader.ranked(1), self._loader.photo
        cell, pair = self._cell, self._loader.pair
        if first is None or second is None or photo is None:
            return
        truth, classes = self._loader.truth, self._loader.classes
        self.compare.show_only(mask_of(cell, first, second, truth) if cell else None)
        if cell is None:
            self._show_delta()
            return

        def show(delta: QImage) -> None:
            if (self._cell, self._loader.pair) == (cell, pair):
                self.compare.show_delta(delta, self._caption(by_label=False))

        self._jobs.submit("inspect cell", lambda _: delta_of_cell(cell, photo, first, second, truth, classes), show)

    def _caption(self, by_label: bool) -> str:
        if by_label:
            return self.tr(
                "Green: fixed by B · orange /: broken by B · pink \\: both wrong · grey: both right, or no label"
            )
        return self.tr("Colour: class of B · hatching: class of A · grey: the same class")

    # Confidence and probe ----------------------------------------------------------------------

    def _on_confidence(self, least: float) -> None:
        self.compare.set_least_confidence(least)
        self._show_hidden()

    def _show_hidden(self) -> None:
        self._toolbar.show_hidden(self.compare.hidden_share(0), self.compare.hidden_share(1))

    def _show_probe(self, pixel: QPoint | None) -> None:
        """Say what A and B see under the pointer."""
        if pixel is None:
            return
        sides = [(letter, self._loader.ranked(side)) for side, letter in enumerate("AB")]
        parts = [self.tr("x {0}, y {1}").format(pixel.x(), pixel.y())]
        parts += [f"{letter}: {self._classes_at(ranked, pixel)}" for letter, ranked in sides if ranked is not None]
        truth, names = self._loader.truth, self._loader.classes.names
        if truth is not None and truth[pixel.y(), pixel.x()] < len(names):
            parts.append(self.tr("label: {0}").format(names[truth[pixel.y(), pixel.x()]]))
        self.probe.setText("    ".join(parts))

    def _classes_at(self, ranked: Ranked, pixel: QPoint) -> str:
        names = self._loader.classes.names
        if not (0 <= pixel.y() < ranked.ids.shape[0] and 0 <= pixel.x() < ranked.ids.shape[1]):
            return "–"
        return ", ".join(
            (names[index] if index < len(names) else str(index)) + ("" if share is None else f" {share:.0%}")
            for index, share in ranked.at(pixel.x(), pixel.y())
        )
