"""The Inspect page: before and after on target images, and by class where there are labels."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QImage, QShowEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QSlider,
    QSplitter,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.dataset.folders import Pair
from core.events import Model, Scores
from masktwins_gui import theme
from masktwins_gui.models.choices import choices
from masktwins_gui.models.dataset import DatasetModel
from masktwins_gui.models.images import ImagesModel
from masktwins_gui.models.pictures import thumbnail
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.runs import RunInfo, RunsModel
from masktwins_gui.models.services import (
    Handle,
    Inference,
    Jobs,
    MeasureRequest,
    ModelChoice,
    Prediction,
    PredictRequest,
)
from masktwins_gui.models.states import PageState
from masktwins_gui.plain_text import plain_tip
from masktwins_gui.widgets.class_legend import ClassLegend
from masktwins_gui.widgets.compare_view import CompareView
from masktwins_gui.widgets.empty_state import EmptyState
from masktwins_gui.widgets.score_panel import ScorePanel


class InspectPage(QWidget):
    """Models A and B of a run on the target images."""

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
        self._chosen_by_hand: set[QComboBox] = set()  # others follow the run as it grows
        self._measuring: Handle | None = None
        self._predicting: Handle | None = None
        self._make_bar()
        self._make_list()
        self.compare = CompareView()
        self.legend = ClassLegend()
        self.problem = theme.label("", "error")
        self.problem.setWordWrap(True)
        self.problem.hide()
        self.panel = ScorePanel()
        self.empty = EmptyState(
            "inspect",
            self.tr("No trained model yet"),
            self.tr(
                "Here the adapted model is compared with the one that has seen the labelled camera only. Train first."
            ),
            self.tr("Go to Train"),
            name="inspect.empty",
        )
        self._lay_out()

        self._connect()
        self._on_dataset()
        self._on_runs()

    def _make_list(self) -> None:
        self.images = ImagesModel(self)
        self.filter = QLineEdit()
        self.filter.setObjectName("inspect.filter")
        self.filter.setPlaceholderText(self.tr("Filter by name"))
        self.filter.setAccessibleName(self.tr("Filter the images by name"))
        self.filter.setClearButtonEnabled(True)
        self.list = QListView()
        self.list.setObjectName("inspect.images")
        self.list.setAccessibleName(self.tr("Target images"))
        self.list.setModel(self.images)
        self.list.setUniformItemSizes(True)
        self.list.setIconSize(QSize(66, 50))
        self.list.setSpacing(1)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)

    def _connect(self) -> None:
        self._runs.modelReset.connect(self._on_runs)
        self._dataset.changed.connect(self._on_dataset)
        self.run.currentIndexChanged.connect(self._on_run)
        self.first.currentIndexChanged.connect(self._on_models)
        self.second.currentIndexChanged.connect(self._on_models)
        for combo in (self.run, self.first, self.second):
            combo.activated.connect(lambda _, combo=combo: self._chosen_by_hand.add(combo))
        self.images.wanted.connect(self._make_thumbnail)
        self.list.selectionModel().currentChanged.connect(self._predict)
        self.filter.textChanged.connect(self._filter)
        self.opacity.valueChanged.connect(lambda value: self.compare.set_opacity(value / 100))
        self.swipe.toggled.connect(self.compare.set_swiping)
        self.fit.clicked.connect(self.compare.viewport.reset)
        self.panel.requested.connect(self._measure)
        self.panel.cancelled.connect(self._cancel_measure)
        self.empty.acted.connect(self.train_requested)
        self.empty.demo_requested.connect(self.demo_requested)

    # Layout ------------------------------------------------------------------------------------

    def _make_bar(self) -> None:
        self.run = _combo("inspect.run", self.tr("Run"))
        self.first = _combo("inspect.model_a", self.tr("Model A"))
        self.second = _combo("inspect.model_b", self.tr("Model B"))
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setObjectName("inspect.opacity")
        self.opacity.setAccessibleName(self.tr("Opacity of the predicted classes"))
        self.opacity.setToolTip(self.tr("Opacity of the predicted classes"))
        self.opacity.setRange(0, 100)
        self.opacity.setValue(60)
        self.opacity.setMaximumWidth(110)
        self.side_by_side = _tool("inspect.side_by_side", "sidebyside", self.tr("Side by side"))
        self.swipe = _tool("inspect.swipe", "swipe", self.tr("Swipe one over the other; [ and ] move the line"))
        self.modes = QButtonGroup(self)
        for button in (self.side_by_side, self.swipe):
            button.setCheckable(True)
            self.modes.addButton(button)
        self.side_by_side.setChecked(True)
        self.fit = _tool("inspect.fit", "fit", self.tr("Show the whole image (0, or a double click)"))

    def _lay_out(self) -> None:
        images = QWidget()
        column = QVBoxLayout(images)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.filter)
        column.addWidget(self.list)
        centre = QWidget()
        centre_column = QVBoxLayout(centre)
        centre_column.setContentsMargins(0, 0, 0, 0)
        centre_column.addWidget(self.compare, 1)
        centre_column.addWidget(self.problem)
        centre_column.addWidget(self.legend)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setObjectName("inspect.splitter")
        self.splitter.setChildrenCollapsible(False)
        for widget in (images, centre, self.panel):
            self.splitter.addWidget(widget)
        self.splitter.setSizes([170, 650, 260])
        self.splitter.setStretchFactor(1, 1)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(12, 12, 12, 8)
        layout.addLayout(self._bar_layout())
        layout.addWidget(self.splitter, 1)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(content)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.stack)

    def _bar_layout(self) -> QHBoxLayout:
        bar = QHBoxLayout()
        bar.addWidget(self.run, 2)
        for letter, combo in (("A", self.first), ("B", self.second)):
            bar.addWidget(theme.label(letter, "heading"))
            bar.addWidget(combo, 2)
        bar.addWidget(self.side_by_side)
        bar.addWidget(self.swipe)
        bar.addWidget(self.fit)
        bar.addWidget(theme.label(self.tr("Overlay"), "muted"))
        bar.addWidget(self.opacity)
        return bar

    # Choices -----------------------------------------------------------------------------------

    def _on_runs(self) -> None:
        runs = [run for run in self._runs.runs if run.checkpoints or run.has_source]
        kept = self.run.currentData() if self.run in self._chosen_by_hand else None  # else the newest run
        kept_path = kept.path if isinstance(kept, RunInfo) else None
        blocker = QSignalBlocker(self.run)
        self.run.clear()
        for run in runs:
            self.run.addItem(run.name, run)
        index = next((i for i, run in enumerate(runs) if run.path == kept_path), 0)
        self.run.setCurrentIndex(index if runs else -1)
        blocker.unblock()
        self.stack.setCurrentIndex(1 if runs else 0)
        self.state_changed.emit(PageState.READY if runs else PageState.EMPTY, 0)
        if runs:
            self._on_run()
        else:
            self._forget_models()

    def _forget_models(self) -> None:
        """Empty the choice of models: those of a project that was left must not be scored or predicted."""
        for combo in (self.first, self.second):
            blocker = QSignalBlocker(combo)
            combo.clear()
            blocker.unblock()

    def _on_run(self) -> None:
        run = self.run.currentData()
        if not isinstance(run, RunInfo):
            return
        words = {
            "source": self.tr("Source-only"),
            "teacher": self.tr("Teacher"),
            "student": self.tr("Student"),
            "last": self.tr("newest"),
            "best": self.tr("best"),
            "step {0}": self.tr("step {0}"),
        }
        offered = choices(run, words)
        for combo, wanted in ((self.first, Model.SOURCE), (self.second, Model.TEACHER)):
            kept = combo.currentData() if combo in self._chosen_by_hand else None
            blocker = QSignalBlocker(combo)
            combo.clear()
            for choice in offered:
                combo.addItem(choice.title, choice)
            default = next((i for i, choice in enumerate(offered) if choice.which is wanted), 0)
            combo.setCurrentIndex(offered.index(kept) if kept in offered else default)
            blocker.unblock()
        self._on_models()

    def _on_models(self) -> None:
        first, second = self._chosen()
        if first and second:
            self.compare.set_titles(first.title, second.title)
            self.panel.scores.set_scores(None, None, ())
            self._show_known_scores(first, second)
            self._predict()

    def _chosen(self) -> tuple[ModelChoice | None, ModelChoice | None]:
        return self.first.currentData(), self.second.currentData()

    def _show_known_scores(self, first: ModelChoice, second: ModelChoice) -> None:
        """Scores that the run has measured itself need no second measuring."""
        run = self.run.currentData()
        if run.state != "finished" or first.checkpoint != "last" or second.checkpoint != "last":
            return
        known = [scores_from(run.scores.get(choice.which.value)) for choice in (first, second)]
        if known[0] and known[1]:
            space = self._dataset.holdings.space
            self.panel.scores.set_scores(known[0], known[1], space.palette if space else ())

    def _on_dataset(self) -> None:
        self._filter(self.filter.text())
        first, second = self._chosen()
        if first and second:
            self._show_known_scores(first, second)  # the classes' colours have come
        self.panel.set_possible(bool(self._dataset.pairs("evaluation")))

    def _filter(self, text: str) -> None:
        pairs = [pair for pair in self._dataset.to_look_at if text.lower() in pair.name.lower()]
        self.images.set_pairs(pairs)
        if pairs:
            self.list.setCurrentIndex(self.images.index(0))

    def _make_thumbnail(self, row: int) -> None:
        pair, generation = self.images.pairs[row], self.images.generation

        def show(image: QImage) -> None:
            self.images.set_thumbnail(generation, row, image)

        def fail(message: str, details: str) -> None:
            self.images.set_broken(generation, row)

        self._jobs.submit(f"inspect {generation} {row}", lambda _: thumbnail(pair, None, 0.0), show, fail)

    # Predictions -------------------------------------------------------------------------------

    def _predict(self, *_: object) -> None:
        first, second = self._chosen()
        index: QModelIndex = self.list.currentIndex()
        if not (first and second and index.isValid()) or not self.isVisible():
            return
        pair: Pair = self.images.pairs[index.row()]
        labels = tuple(p.label for p in self._dataset.pairs("evaluation") if p.label is not None)
        request = PredictRequest(pair.image, pair.label, first, second, self._label_space(), labels)
        self.compare.set_hint(self.tr("Predicting …"))
        self._predicting = self._inference.predict(request, self._show, self._failed)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._predict()

    def _label_space(self) -> str:
        run = self.run.currentData()
        stored = run.path / "label_space.toml"
        return str(stored) if stored.is_file() else self._project.config.data.label_space

    def _show(self, prediction: Prediction) -> None:
        self.problem.hide()
        self.compare.show_prediction(prediction)
        self.legend.set_classes(prediction.classes, prediction.palette)

    def _failed(self, message: str, details: str) -> None:
        self.compare.show_prediction(None)  # no stale overlay beside an error
        self.compare.set_hint("")
        self.problem.setText(message)
        self.problem.setToolTip(plain_tip(details))
        self.problem.show()

    # Measuring ---------------------------------------------------------------------------------

    def _measure(self) -> None:
        first, second = self._chosen()
        data = self._project.config.data
        images = data.evaluation_images or data.target_images
        if not (first and second and images and data.target_labels):
            return
        request = MeasureRequest(images, data.target_labels, first, second, self._label_space())
        self.problem.hide()
        self.panel.set_busy(True)
        self._measuring = self._inference.measure(
            request, self._show_scores, self._measure_failed, self.panel.show_progress
        )

    def _show_scores(self, scores: tuple[Scores, Scores]) -> None:
        self._end_measuring()
        space = self._dataset.holdings.space
        self.panel.scores.set_scores(*scores, space.palette if space else ())

    def _measure_failed(self, message: str, details: str) -> None:
        self._end_measuring()
        self.panel.scores.set_scores(None, None, ())
        self.problem.setText(message)
        self.problem.setToolTip(plain_tip(details))
        self.problem.show()

    def _cancel_measure(self) -> None:
        if self._measuring is not None:
            self._measuring.cancel()
        self._end_measuring()

    def _end_measuring(self) -> None:
        self._measuring = None
        self.panel.set_busy(False)


def scores_from(stored: dict | None) -> Scores | None:
    """Scores as a run's status holds them, in the shape of `--json`; null stands for NaN."""
    if not stored:
        return None

    def number(value: float | None) -> float:
        return float("nan") if value is None else float(value)

    per_class = {str(name): number(value) for name, value in stored["per_class"].items()}
    return Scores(number(stored["miou"]), number(stored["pixel_accuracy"]), per_class, ())


def _combo(name: str, title: str) -> QComboBox:
    combo = QComboBox()
    combo.setObjectName(name)
    combo.setAccessibleName(title)
    combo.setToolTip(plain_tip(title))
    combo.setMinimumContentsLength(9)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return combo


def _tool(name: str, icon: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setObjectName(name)
    button.setToolTip(plain_tip(tip))
    button.setAccessibleName(tip)
    theme.set_icon(button, icon)
    return button
