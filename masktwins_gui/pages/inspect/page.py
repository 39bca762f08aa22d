"""The Inspect page: the compare desk of two models on any images."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QPoint, QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QImage, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QProgressBar,
    QSizePolicy,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from core.dataset.folders import Pair
from core.evaluation.compare import Ranked
from core.events import Model, Scores
from core.files import write_atomic
from masktwins_gui import theme
from masktwins_gui.models.dataset import DatasetModel
from masktwins_gui.models.desk import Cell, DeskModel, as_csv, mask_of
from masktwins_gui.models.look import LabelSource, delta_of_cell
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.runs import RunsModel
from masktwins_gui.models.services import (
    Classes,
    Compared,
    CompareRequest,
    Handle,
    ImageFacts,
    Inference,
    Jobs,
    Stage,
)
from masktwins_gui.models.states import PageState
from masktwins_gui.pages.inspect.files_dialog import FilesDialog
from masktwins_gui.pages.inspect.image_panel import ImagePanel
from masktwins_gui.pages.inspect.loader import Loader
from masktwins_gui.pages.inspect.numbers_panel import NumbersPanel
from masktwins_gui.pages.inspect.origin import OriginBox
from masktwins_gui.pages.inspect.toolbar import Toolbar
from masktwins_gui.plain_text import plain_tip
from masktwins_gui.widgets.class_toggles import ClassToggles
from masktwins_gui.widgets.compare_canvas import Mode
from masktwins_gui.widgets.compare_view import CompareView
from masktwins_gui.widgets.controls import slider
from masktwins_gui.widgets.empty_state import EmptyState
from masktwins_gui.widgets.model_picker import ModelPicker

KEYS = {"G": Mode.SIDE_BY_SIDE, "F": Mode.ONE, "B": Mode.BLINK, "S": Mode.SWIPE, "D": Mode.DELTA}
REFRESH_MS = 400  # between two looks at the facts that a comparison of all images brings


class InspectPage(QWidget):
    """Wires the panels: what is chosen goes to the loader, what it brings goes to the views."""

    state_changed = Signal(object, int)  # PageState, count
    demo_requested = Signal()
    train_requested = Signal()

    def __init__(
        self,
        project: ProjectModel,
        dataset: DatasetModel,
        runs: RunsModel,
        jobs: Jobs,
        inference: Inference,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("inspect")
        self._project, self._dataset, self._runs = project, dataset, runs
        self._jobs, self._inference = jobs, inference
        self._comparing: Handle | None = None
        self._cell: Cell | None = None
        self._region = -1
        self.desk = DeskModel(self)
        self.loader = Loader(jobs, inference, self)
        self._refresh = QTimer(self)
        self._refresh.setSingleShot(True)
        self._refresh.setInterval(REFRESH_MS)
        self._make_panels()
        self._lay_out()
        self._connect()
        self._on_images()
        self._on_runs()

    def _make_panels(self) -> None:
        self.first = ModelPicker("inspect.run_a", "inspect.model_a", Model.SOURCE, letter="A", offers_others=True)
        self.second = ModelPicker("inspect.run_b", "inspect.model_b", Model.TEACHER, letter="B", offers_others=True)
        self.time = slider(
            "inspect.time",
            self.tr("Checkpoint of B"),
            0,
            self.tr("Let B follow the run's checkpoints, from source-only on"),
        )
        self.toolbar = Toolbar()
        self.origin = OriginBox(self._dataset, self._jobs)
        self.images = ImagePanel(self.desk, self._jobs, self.origin)
        self.compare = CompareView()
        self.legend = ClassToggles()
        self.panel = NumbersPanel()
        self.where = theme.label("")
        self.where.setObjectName("inspect.where")
        self.stage = theme.label("", "muted")
        self.stage.setObjectName("inspect.stage")
        self.busy = QProgressBar()
        self.busy.setObjectName("inspect.busy")
        self.busy.setAccessibleName(self.tr("Predicting"))
        self.busy.setRange(0, 0)
        self.busy.setTextVisible(False)
        self.busy.setFixedSize(60, 8)
        self.probe = theme.label("", "muted")
        self.probe.setObjectName("inspect.probe")
        for label in (self.stage, self.probe):  # a long text must not widen the page
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.problem = theme.label("", "error")
        self.problem.setObjectName("inspect.problem")
        self.problem.setWordWrap(True)
        self.problem.hide()
        self.empty = EmptyState(
            "inspect",
            self.tr("No trained model yet"),
            self.tr(
                "Here the adapted model is compared with the one that has seen the labelled camera only. Train first."
            ),
            self.tr("Go to Train"),
            name="inspect.empty",
        )

    def _connect(self) -> None:
        # what there is
        self._runs.modelReset.connect(self._on_runs)
        self.origin.changed.connect(self._on_images)
        self.origin.failed.connect(self._show_problem)
        # what is chosen
        self.first.changed.connect(self._on_models)
        self.second.changed.connect(self._on_models)
        self.time.valueChanged.connect(self._on_time)
        self.images.chosen.connect(self._on_image)
        self.compare.stepped.connect(self.images.step)
        self.compare.hovered.connect(self._probe)
        self.legend.hidden_changed.connect(self._show_classes)
        # how it is shown
        self.toolbar.mode_changed.connect(self._on_mode)
        self.toolbar.opacity_changed.connect(self.compare.set_opacity)
        self.toolbar.confidence_changed.connect(self._on_confidence)
        self.toolbar.rate_changed.connect(self.compare.canvas.set_blinks_per_second)
        self.toolbar.delta_kind_changed.connect(self._show_delta)
        self.toolbar.next_region_requested.connect(self._next_region)
        self.toolbar.fit_requested.connect(self.compare.viewport.reset)
        self.toolbar.save_requested.connect(self._predict_files)
        for key, mode in KEYS.items():
            self._shortcut(key).activated.connect(lambda mode=mode: self.toolbar.set_mode(mode))
        self._shortcut("N").activated.connect(self._next_region)
        # what comes
        self.loader.photo_ready.connect(self._show_photo)
        self.loader.side_ready.connect(self._show_side)
        self.loader.truth_ready.connect(self._show_truth)
        self.loader.delta_ready.connect(self._on_delta)
        self.loader.stage_changed.connect(self._show_stage)
        self.loader.failed.connect(self._show_problem)
        # numbers
        self.desk.changed.connect(self._show_numbers)
        self._refresh.timeout.connect(self._show_facts)
        self.panel.cell_chosen.connect(self._on_cell)
        self.panel.compare_requested.connect(self._compare_all)
        self.panel.cancelled.connect(self._cancel)
        self.panel.save_requested.connect(self._save_csv)
        self.empty.acted.connect(self.train_requested)
        self.empty.demo_requested.connect(self.demo_requested)

    def _shortcut(self, key: str) -> QShortcut:
        return QShortcut(QKeySequence(key), self, context=Qt.ShortcutContext.WidgetWithChildrenShortcut)

    # Layout ------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setObjectName("inspect.splitter")
        self.splitter.setChildrenCollapsible(False)
        for widget in (self.images, self._centre(), self.panel):
            self.splitter.addWidget(widget)
        self.splitter.setSizes([170, 640, 270])
        self.splitter.setStretchFactor(1, 1)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(12, 10, 12, 8)
        layout.setSpacing(6)
        layout.addLayout(self._models_row())
        layout.addWidget(self.toolbar)
        layout.addWidget(self.splitter, 1)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(content)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.stack)

    def _models_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(6)
        for letter, picker in (("A", self.first), ("B", self.second)):
            row.addWidget(theme.label(letter, "heading"))
            row.addWidget(picker, 4)
        row.addWidget(theme.label(self.tr("Time"), "muted"))
        self.time.setMinimumWidth(60)
        row.addWidget(self.time, 1)
        return row

    def _centre(self) -> QWidget:
        head = QHBoxLayout()
        head.addWidget(self.where)
        head.addWidget(self.busy)
        head.addWidget(self.stage, 1)
        centre = QWidget()
        column = QVBoxLayout(centre)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(self.compare, 1)
        column.addWidget(self.probe)
        column.addWidget(self.problem)
        column.addWidget(self.legend)
        return centre

    # Choices -----------------------------------------------------------------------------------

    def _on_runs(self) -> None:
        runs = self._runs.runs
        for picker in (self.first, self.second):
            picker.set_runs(runs)
        has_models = self.first.choice is not None
        self.stack.setCurrentIndex(1 if has_models else 0)
        self.state_changed.emit(PageState.READY if has_models else PageState.EMPTY, 0)
        if not has_models:
            self._cancel()
            self.loader.forget()
        self._fill_time()
        self._show_known_scores()

    def _fill_time(self) -> None:
        steps = self.second.timeline()
        blocker = QSignalBlocker(self.time)
        self.time.setRange(0, max(0, len(steps) - 1))
        self.time.setEnabled(len(steps) > 1)
        chosen = self.second.choice
        if chosen in steps:
            self.time.setValue(steps.index(chosen))
        blocker.unblock()

    def _on_time(self, position: int) -> None:
        steps = self.second.timeline()
        if 0 <= position < len(steps):
            self.second.choose(steps[position])

    def _on_models(self) -> None:
        first, second = self.first.choice, self.second.choice
        self._cancel()
        self.panel.clear_cell()
        self._fill_time()
        self.loader.set_models(first, second, self._project_classes())
        self.loader.set_labels(self._label_source())
        self.compare.set_titles(first.title if first else "", second.title if second else "")
        self.desk.set_classes(self.loader.classes)
        self.desk.clear()
        self._show_known_scores()
        self._on_image(self.images.pair)

    def _project_classes(self) -> Classes:
        space = self._dataset.holdings.space
        return Classes(tuple(space.classes), tuple(space.palette)) if space else Classes()

    def _label_source(self) -> LabelSource:
        run = self.second.run_info or self.first.run_info
        labels = tuple(pair.label for pair in self.images.all if pair.label is not None)
        return LabelSource(run.path if run else None, self._project.config.data.label_space, labels)

    def _show_known_scores(self) -> None:
        """Scores that the run has measured itself need no second measuring."""
        run, first, second = self.second.run_info, self.first.choice, self.second.choice
        known = None
        if run and run == self.first.run_info and run.state == "finished" and first and second:
            found = [Scores.from_json(run.scores.get(c.which.value)) for c in (first, second) if c.checkpoint == "last"]
            known = (found[0], found[1]) if len(found) == 2 and found[0] and found[1] else None
        self.panel.set_known(known)

    def _on_images(self) -> None:
        self._cancel()
        self.panel.clear_cell()
        self.images.set_pairs(self.origin.pairs)
        self.panel.set_labelled(sum(pair.label is not None for pair in self.images.all))
        self.loader.set_labels(self._label_source())
        self.desk.set_classes(self.loader.classes if self.loader.classes.names else self._project_classes())
        self._show_numbers()
        if not self.images.all:
            self.compare.set_hint(self.tr("Choose target images on the Data page"))

    def _on_image(self, pair: Pair | None) -> None:
        """Turn to an image: nothing of the one before stays, and what is known of this one comes at once."""
        self._region = -1
        self.problem.hide()
        self.probe.clear()
        self.compare.clear()
        self.where.setText(pair.name if pair else "")
        if pair is None or not self.isVisible() or self.first.choice is None:
            return
        self.compare.set_hint(self.tr("Loading …"))
        if not (thumbnail := self.images.picture()).isNull():
            self.compare.show_photo(thumbnail)
        self._show_stage(Stage.IMAGE)
        self.loader.show(pair, self.images.neighbours())

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._on_image(self.images.pair)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.loader.stop()

    # What comes --------------------------------------------------------------------------------

    def _show_photo(self) -> None:
        photo = self.loader.photo
        if photo is not None:
            self.compare.show_photo(photo.image)

    def _show_side(self, side: int) -> None:
        self._show_classes()
        self.compare.show_side(side, self.loader.ranked(side))
        self._show_hidden()
        self._apply_cell()

    def _show_classes(self) -> None:
        classes = self.loader.classes
        self.legend.set_classes(classes.names, classes.palette)
        self.compare.set_classes(classes.palette, self.legend.hidden)

    def _show_truth(self) -> None:
        self.compare.show_label(self.loader.truth)
        self.toolbar.set_labelled(self.loader.truth is not None)

    def _on_delta(self) -> None:
        delta = self.loader.delta
        if delta is None:
            return
        self.desk.set_classes(self.loader.classes)
        self.desk.add([delta.facts])
        self._show_delta()
        self._apply_cell()

    def _show_delta(self, *_: object) -> None:
        delta = self.loader.delta
        if delta is not None:
            by_label = self.toolbar.delta_kind.currentIndex() == 1 and delta.outcomes is not None
            self.compare.show_delta(delta.outcomes if by_label else delta.changes, self._delta_caption(by_label))

    def _delta_caption(self, by_label: bool) -> str:
        if by_label:
            return self.tr(
                "Green: fixed by B · orange /: broken by B · pink \\: both wrong · grey: both right, or no label"
            )
        return self.tr("Colour: class of B · hatching: class of A · grey: the same class")

    def _show_stage(self, stage: Stage | None) -> None:
        texts = {
            Stage.LIBRARY: self.tr("Loading PyTorch, once per start: some seconds …"),
            Stage.MODEL: self.tr("Loading the model …"),
            Stage.IMAGE: self.tr("Predicting …"),
        }
        self.busy.setVisible(stage is not None)
        place = self.tr("Computed on {0}").format(self.loader.place) if self.loader.place else ""
        self.stage.setText(texts[stage] if stage else place)
        if stage:
            self.compare.set_hint(texts[stage])

    def _show_problem(self, message: str, details: str) -> None:
        self.compare.show_side(0, self.loader.ranked(0))
        self.compare.show_side(1, self.loader.ranked(1))
        self.compare.set_hint("")
        self.problem.setText(message)
        self.problem.setToolTip(plain_tip(details))
        self.problem.show()

    # How it is shown ---------------------------------------------------------------------------

    def _on_mode(self, mode: Mode) -> None:
        self.compare.set_mode(mode)

    def _on_confidence(self, least: float) -> None:
        self.compare.set_least_confidence(least)
        self._show_hidden()

    def _show_hidden(self) -> None:
        self.toolbar.show_hidden(self.compare.hidden_share(0), self.compare.hidden_share(1))

    def _next_region(self) -> None:
        """Zoom to the next largest region that B broke, or without labels changed."""
        delta = self.loader.delta
        if delta is None:
            return
        if not delta.regions:
            self.probe.setText(self.tr("B broke nothing here.") if delta.outcomes else self.tr("Nothing changes here."))
            return
        self._region = (self._region + 1) % len(delta.regions)
        region = delta.regions[self._region]
        names = self.loader.classes.names
        text = self.tr("Broken region {0} of {1}: {2:,} pixels, most from {3} to {4}")
        if delta.outcomes is None:
            text = self.tr("Changed region {0} of {1}: {2:,} pixels, most from {3} to {4}")
        self.compare.show_region(region.x, region.y, region.width, region.height)
        self.probe.setText(
            text.format(self._region + 1, len(delta.regions), region.area, names[region.before], names[region.after])
        )

    def _probe(self, pixel: QPoint | None) -> None:
        """Say what A and B see under the pointer."""
        if pixel is None:
            return
        sides = [(letter, self.loader.ranked(side)) for side, letter in enumerate("AB")]
        parts = [self.tr("x {0}, y {1}").format(pixel.x(), pixel.y())]
        parts += [f"{letter}: {self._classes_at(ranked, pixel)}" for letter, ranked in sides if ranked is not None]
        truth, names = self.loader.truth, self.loader.classes.names
        if truth is not None and truth[pixel.y(), pixel.x()] < len(names):
            parts.append(self.tr("label: {0}").format(names[truth[pixel.y(), pixel.x()]]))
        self.probe.setText("    ".join(parts))

    def _classes_at(self, ranked: Ranked, pixel: QPoint) -> str:
        names = self.loader.classes.names
        if not (0 <= pixel.y() < ranked.ids.shape[0] and 0 <= pixel.x() < ranked.ids.shape[1]):
            return "–"
        return ", ".join(
            (names[index] if index < len(names) else str(index)) + ("" if share is None else f" {share:.0%}")
            for index, share in ranked.at(pixel.x(), pixel.y())
        )

    # Numbers -----------------------------------------------------------------------------------

    def _show_numbers(self) -> None:
        known = self.desk.totals(self.images.all) if self.desk.classes.names else None
        self.panel.set_totals(known, self.desk.classes, len(self.images.all))

    def _show_facts(self) -> None:
        self.desk.changed.emit()
        self.images.refresh()

    def _on_cell(self, cell: Cell | None) -> None:
        if cell == self._cell:
            return
        self._cell = cell
        self.images.set_cell(cell)
        self._apply_cell()

    def _apply_cell(self) -> None:
        """Show the pixels of the chosen cell alone, or all."""
        first, second, photo = self.loader.ranked(0), self.loader.ranked(1), self.loader.photo
        cell, pair = self._cell, self.loader.pair
        if first is None or second is None or photo is None:
            return
        truth, classes = self.loader.truth, self.loader.classes
        self.compare.show_only(mask_of(cell, first, second, truth) if cell else None)
        if cell is None:
            self._show_delta()
            return

        def show(delta: QImage) -> None:
            if (self._cell, self.loader.pair) == (cell, pair):
                self.compare.show_delta(delta, self._delta_caption(by_label=False))

        self._jobs.submit("inspect cell", lambda _: delta_of_cell(cell, photo, first, second, truth, classes), show)

    def _compare_all(self) -> None:
        first, second = self.first.choice, self.second.choice
        if not (first and second and self.images.all):
            return
        source = self._label_source()
        request = CompareRequest(
            tuple(self.images.all), first, second, self._project_classes(), source.run, source.name, source.labels
        )
        self.problem.hide()
        self.panel.set_busy(True)
        self.state_changed.emit(PageState.RUNNING, 0)
        self._comparing = self._inference.compare(
            request, self._on_compared, self._on_compare_failed, self.panel.show_progress, self._on_fact
        )

    def _on_fact(self, news: ImageFacts | Stage | Classes) -> None:
        if isinstance(news, Classes):
            self.desk.set_classes(news)
        elif isinstance(news, ImageFacts):
            self.desk.add([news], quietly=True)
            if not self._refresh.isActive():
                self._refresh.start()

    def _on_compared(self, compared: Compared) -> None:
        self._end_comparing()
        if compared.left_out:
            count, first = len(compared.left_out), compared.left_out[0]
            self._show_problem(
                self.tr("{0} images are left out: {1}").format(count, first), "\n".join(compared.left_out)
            )

    def _on_compare_failed(self, message: str, details: str) -> None:
        self._end_comparing()
        self._show_problem(message, details)

    def _cancel(self) -> None:
        if self._comparing is not None:
            self._comparing.cancel()
            self._end_comparing()

    def _end_comparing(self) -> None:
        self._comparing = None
        self._refresh.stop()
        self.panel.set_busy(False)
        self.state_changed.emit(PageState.READY, 0)
        self._show_facts()

    # Files -------------------------------------------------------------------------------------

    def _save_csv(self) -> None:
        folder = self._project.folder or Path.home()
        name, _ = QFileDialog.getSaveFileName(
            self, self.tr("Save these numbers"), str(folder / "compare.csv"), self.tr("Table (*.csv)")
        )
        if name:
            self.write_csv(Path(name))

    def write_csv(self, path: Path) -> None:
        """Write what the panel shows, off the GUI thread."""
        text = as_csv(self.desk.totals(self.images.all), self.desk.classes.names)

        def work(_: object) -> None:
            write_atomic(path, text)

        self._jobs.submit("inspect csv", work, lambda _: None, self._show_problem)

    def _predict_files(self) -> None:
        models = [choice for choice in (self.second.choice, self.first.choice) if choice is not None]
        FilesDialog(models, self._inference, self).open()
