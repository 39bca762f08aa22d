"""The Inspect page: the compare desk of two models on any images."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QHideEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from core.dataset.folders import Pair
from core.events import Model, Scores
from core.files import write_atomic
from masktwins_gui import theme
from masktwins_gui.models.dataset import DatasetModel
from masktwins_gui.models.desk import DeskModel, as_csv
from masktwins_gui.models.look import LabelSource
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.runs import RunsModel
from masktwins_gui.models.services import (
    Classes,
    CompareRequest,
    Inference,
    Jobs,
    Stage,
)
from masktwins_gui.models.states import PageState
from masktwins_gui.pages.inspect.comparing import Comparing
from masktwins_gui.pages.inspect.desk_view import DeskView
from masktwins_gui.pages.inspect.files_dialog import FilesDialog
from masktwins_gui.pages.inspect.groups_panel import GroupsPanel
from masktwins_gui.pages.inspect.image_panel import ImagePanel
from masktwins_gui.pages.inspect.loader import Loader
from masktwins_gui.pages.inspect.map_panel import MapPanel
from masktwins_gui.pages.inspect.numbers_panel import NumbersPanel
from masktwins_gui.pages.inspect.origin import OriginBox
from masktwins_gui.pages.inspect.toolbar import Toolbar
from masktwins_gui.widgets.compare_canvas import Mode
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
        self.desk = DeskModel(self)
        self.loader = Loader(jobs, inference, self)
        self.comparing = Comparing(self.desk, inference, self)
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
        self.view = DeskView(self.loader, self.toolbar, self._jobs)
        self.compare = self.view.compare
        self.panel = NumbersPanel()
        self.groups = GroupsPanel(self.desk)
        self.map = MapPanel(self.desk, self._jobs)
        self.panel.tabs.addTab(self.groups, self.tr("Groups"))
        self.panel.tabs.addTab(self.map, self.tr("Map"))
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
        self._runs.modelReset.connect(self._on_runs)
        self.origin.changed.connect(self._on_images)
        self.origin.failed.connect(self.view.show_problem)
        self.first.changed.connect(self._on_models)
        self.second.changed.connect(self._on_models)
        self.time.valueChanged.connect(self._on_time)
        self.images.chosen.connect(self._on_image)
        self.compare.stepped.connect(self.images.step)
        self.loader.delta_ready.connect(self._on_delta)
        self.toolbar.save_requested.connect(self._predict_files)
        for key, mode in KEYS.items():
            self._shortcut(key).activated.connect(lambda mode=mode: self.toolbar.set_mode(mode))
        self._shortcut("N").activated.connect(self.view.next_region)
        # numbers
        self.desk.changed.connect(self._show_numbers)
        self.comparing.running_changed.connect(self._on_comparing)
        self.comparing.progressed.connect(self.panel.show_progress)
        self.comparing.refreshed.connect(self.images.refresh)
        self.comparing.failed.connect(self.view.show_problem)
        self.panel.cell_chosen.connect(self.images.set_cell)
        self.panel.cell_chosen.connect(self.view.show_cell)
        self.panel.compare_requested.connect(self._compare_all)
        self.panel.cancelled.connect(self.comparing.cancel)
        self.panel.save_requested.connect(self._save_csv)
        self.groups.subset_chosen.connect(self.images.set_subset)
        self.map.subset_chosen.connect(self.images.set_subset)
        self.map.chosen.connect(self.images.choose)
        self.empty.acted.connect(self.train_requested)
        self.empty.demo_requested.connect(self.demo_requested)

    def _shortcut(self, key: str) -> QShortcut:
        return QShortcut(QKeySequence(key), self, context=Qt.ShortcutContext.WidgetWithChildrenShortcut)

    # Layout ------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setObjectName("inspect.splitter")
        self.splitter.setChildrenCollapsible(False)
        for widget in (self.images, self.view, self.panel):
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

    # Choices -----------------------------------------------------------------------------------

    def _on_runs(self) -> None:
        runs = self._runs.runs
        for picker in (self.first, self.second):
            picker.set_runs(runs)
        has_models = self.first.choice is not None
        self.stack.setCurrentIndex(1 if has_models else 0)
        if not has_models:
            self.comparing.cancel()
            self.loader.forget()
        self._announce()
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
        self.comparing.cancel()
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
        self.comparing.cancel()
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
        self.view.turn_to(pair, self.images.picture())
        self.map.set_current(pair)
        if pair is not None and self.isVisible() and self.first.choice is not None:
            self.view.show_stage(Stage.IMAGE)
            self.loader.show(pair, self.images.neighbours())

    def _on_delta(self) -> None:
        if (delta := self.loader.delta) is not None:
            self.desk.set_classes(self.loader.classes)
            self.desk.add([delta.facts])

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._on_image(self.images.pair)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.loader.stop()

    # Numbers -----------------------------------------------------------------------------------

    def _show_numbers(self) -> None:
        known = self.desk.totals(self.images.all) if self.desk.classes.names else None
        self.panel.set_totals(known, self.desk.classes, len(self.images.all))
        self.groups.set_pairs(self.images.all)
        self.map.set_pairs(self.images.all, self.origin.source)
        self.map.set_current(self.images.pair)

    def _compare_all(self) -> None:
        first, second = self.first.choice, self.second.choice
        if not (first and second and self.images.all):
            return
        source = self._label_source()
        self.view.problem.hide()
        self.comparing.start(
            CompareRequest(
                tuple(self.images.all), first, second, self._project_classes(), source.run, source.name, source.labels
            )
        )

    def _on_comparing(self, running: bool) -> None:
        self.panel.set_busy(running)
        self._announce()

    def _announce(self) -> None:
        state = PageState.READY if self.first.choice else PageState.EMPTY
        self.state_changed.emit(PageState.RUNNING if self.comparing.running else state, 0)

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

        self._jobs.submit("inspect csv", work, lambda _: None, self.view.show_problem)

    def _predict_files(self) -> None:
        models = [choice for choice in (self.second.choice, self.first.choice) if choice is not None]
        FilesDialog(models, self._inference, self).open()
