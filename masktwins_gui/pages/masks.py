"""The Masks page: the settings of the masks beside both twins, drawn by the very code that trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QScrollArea,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from core.configuration import settings
from core.configuration.choices import MaskLevel, MaskStrategy
from core.dataset.reading import read_image
from masktwins_gui import theme
from masktwins_gui.models.dataset import DatasetModel
from masktwins_gui.models.pictures import Twins, draw_twins
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.services import Jobs, TaskContext
from masktwins_gui.models.states import PageState, RunState
from masktwins_gui.widgets.config_form import ConfigForm
from masktwins_gui.widgets.controls import tool_button
from masktwins_gui.widgets.empty_state import EmptyState
from masktwins_gui.widgets.image_view import ImageView, Viewport
from masktwins_gui.widgets.mask_advice import MaskAdvice

VIEWS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


class MasksPage(QWidget):
    """Edits [mask]; the preview follows every change, each image, and every re-roll."""

    state_changed = Signal(object, int)  # PageState, count
    demo_requested = Signal()
    data_requested = Signal()  # go to the Data page

    def __init__(self, project: ProjectModel, dataset: DatasetModel, jobs: Jobs, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("masks")
        self._project, self._dataset, self._jobs = project, dataset, jobs
        self._index, self._seed = 0, 0
        self._num_views = 0
        self._loaded: tuple[Path, np.ndarray] | None = None  # the image last read, so that sliders do not read again

        self.form = ConfigForm(project, settings.settings("mask", "augment"), name="masks.form")
        self.advice = MaskAdvice(project, dataset, jobs)
        self._make_buttons()
        self.image_name = theme.label("", "muted")
        self.image_name.setMinimumWidth(40)
        self.proof = theme.label("")
        self.proof.setWordWrap(True)
        self._make_views()
        self.empty = EmptyState(
            "masks",
            self.tr("No target images yet"),
            self.tr("The masks are shown on your own target images. Choose them on the Data page first."),
            self.tr("Go to Data"),
            name="masks.empty",
        )
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)  # several changes at once are drawn once
        self._lay_out()

        self._connect()
        self._update_history()
        self._on_dataset()
        self._on_project()

    def _make_views(self) -> None:
        viewport = Viewport(self)
        names = ("original", *VIEWS, "together")
        self.views = {name: ImageView("", viewport, self) for name in names}
        self.views["original"].set_caption(self.tr("Target crop"))
        for name, view in self.views.items():
            view.setObjectName(f"masks.view.{name}")
        self.grid = QGridLayout()
        self.grid.setSpacing(8)
        self._arrange(2)

    def _arrange(self, num_views: int) -> None:
        """Lay out the crop, as many views and their sum."""
        if num_views == self._num_views:
            return
        self._num_views = num_views
        shown = ["original", *VIEWS[:num_views], "together"]
        columns = 2 if len(shown) <= 4 else 3 if len(shown) <= 9 else 4
        for name, view in self.views.items():
            self.grid.removeWidget(view)
            if name in shown:
                self.grid.addWidget(view, *divmod(shown.index(name), columns))
            view.setVisible(name in shown)
        pair = num_views == 2
        for name, letter in zip(VIEWS, "ABCDEFGH", strict=True):
            self.views[name].set_caption((self.tr("Twin {0}") if pair else self.tr("View {0}")).format(letter))
        together = self.tr("A and B together") if pair else self.tr("All {0} together").format(num_views)
        self.views["together"].set_caption(together)

    def _make_buttons(self) -> None:
        self.previous = tool_button("masks.previous", "left", self.tr("Previous image (←)"))
        self.next = tool_button("masks.next", "right", self.tr("Next image (→)"))
        self.reroll = tool_button("masks.reroll", "reroll", self.tr("Draw new masks (R)"), self.tr("Re-roll"))
        self.undo = tool_button("masks.undo", "undo", self.tr("Undo the last change (Ctrl+Z)"))
        self.redo = tool_button("masks.redo", "redo", self.tr("Redo (Ctrl+Shift+Z)"))
        for button in (self.previous, self.next, self.undo, self.redo, self.reroll):
            button.installEventFilter(self)

    def _connect(self) -> None:
        self.previous.clicked.connect(lambda: self.step(-1))
        self.next.clicked.connect(lambda: self.step(1))
        self.reroll.clicked.connect(self.draw_anew)
        self.undo.clicked.connect(self._project.undo)
        self.redo.clicked.connect(self._project.redo)
        self.empty.acted.connect(self.data_requested)
        self.empty.demo_requested.connect(self.demo_requested)
        self._timer.timeout.connect(self._preview)
        self._project.changed.connect(self._on_project)
        self._project.history_changed.connect(self._update_history)
        self._dataset.changed.connect(self._on_dataset)

    def _lay_out(self) -> None:
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(12, 12, 10, 12)
        column.setSpacing(10)
        column.addWidget(theme.label(self.tr("Masks"), "title"))
        column.addWidget(self.form)
        column.addWidget(self.advice)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(left)
        scroll.setMinimumWidth(290)

        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self._make_preview())
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setObjectName("masks.splitter")
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(scroll)
        self.splitter.addWidget(self.stack)
        self.splitter.setSizes([320, 770])
        self.splitter.setStretchFactor(1, 1)  # the form keeps its width
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.splitter)

    def _make_preview(self) -> QWidget:
        bar = QHBoxLayout()
        for widget in (self.previous, self.next):
            bar.addWidget(widget)
        bar.addWidget(self.image_name, 1)
        for widget in (self.undo, self.redo, self.reroll):
            bar.addWidget(widget)
        preview = QWidget()
        preview_column = QVBoxLayout(preview)
        preview_column.setContentsMargins(6, 12, 12, 12)
        preview_column.addLayout(bar)
        preview_column.addLayout(self.grid, 1)
        preview_column.addWidget(self.proof)
        return preview

    # Keys --------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Handle the keys that the focused control has no use for: a slider and a text keep their arrows."""
        if not self._handle_key(event):
            super().keyPressEvent(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take the arrow keys from the buttons, where Qt would move the focus."""
        return isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and self._handle_key(event)

    def _handle_key(self, event: QKeyEvent) -> bool:
        plain = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier == Qt.KeyboardModifier.NoModifier
        match event.key():
            case Qt.Key.Key_Left if plain:
                self.step(-1)
            case Qt.Key.Key_Right if plain:
                self.step(1)
            case Qt.Key.Key_R if plain:
                self.draw_anew()
            case _:
                return False
        return True

    # Verbs -------------------------------------------------------------------------------------

    def step(self, by: int) -> None:
        """Show another target image."""
        pairs = self._dataset.pairs("target")
        if pairs:
            self._index = (self._index + by) % len(pairs)
            self._preview()

    def draw_anew(self) -> None:
        self._seed += 1
        self._preview()

    def set_run_state(self, state: RunState) -> None:
        self.form.set_running(state.active)

    # Preview -----------------------------------------------------------------------------------

    def _on_dataset(self) -> None:
        pairs = self._dataset.pairs("target")
        self._index = 0
        self.stack.setCurrentIndex(1 if pairs else 0)
        self.state_changed.emit(PageState.READY if pairs else PageState.EMPTY, 0)
        self._timer.start()

    def _on_project(self, *_: object) -> None:
        self._timer.start()

    def _preview(self) -> None:
        self._timer.stop()
        pairs = self._dataset.pairs("target")
        if not pairs:
            return
        self._index = min(self._index, len(pairs) - 1)
        path, config, seed, loaded = pairs[self._index].image, self._project.config, self._seed, self._loaded
        self.image_name.setText(self.tr("{0}   ({1} of {2})").format(path.name, self._index + 1, len(pairs)))

        def work(_: TaskContext) -> tuple[Path, np.ndarray, Twins]:
            image = loaded[1] if loaded and loaded[0] == path else read_image(path)
            return path, image, draw_twins(image, config.mask, config.training.crop_hw, seed)

        self._jobs.submit("masks", work, self._show, self._failed)

    def _show(self, result: tuple[Path, np.ndarray, Twins]) -> None:
        path, image, twins = result
        self._loaded = (path, image)
        self._arrange(max(2, len(twins.views)))
        pictures = {
            "original": twins.original,
            "together": twins.together,
            **dict(zip(VIEWS, twins.views, strict=False)),
        }
        for name, view in self.views.items():
            view.set_picture(pictures.get(name))
        self.proof.setText(self._explain(twins))

    def _failed(self, message: str, details: str) -> None:
        for view in self.views.values():
            view.set_picture(None)
        self.proof.setText(message)

    def _explain(self, twins: Twins) -> str:
        mask = self._project.config.mask
        height, width = twins.original.shape[:2]
        pixels = f"{height * width:,}".replace(",", " ")
        exact = self.tr("each of the {0} pixels is shown exactly once").format(pixels)
        proof = exact if twins.once == 1 else self.tr("{0:.1%} of the pixels are shown once").format(twins.once)
        match mask.strategy:
            case MaskStrategy.COMPLEMENTARY if len(twins.views) > 2:
                least, most = min(twins.hidden), max(twins.hidden)
                text = self.tr("Each of {0} views hides {1:.0%} to {2:.0%}: {3}.")
                text = text.format(len(twins.views), least, most, proof)
            case MaskStrategy.COMPLEMENTARY:
                text = self.tr("Twin A hides {0:.0%}, twin B the rest: {1}.").format(twins.hidden[0], proof)
            case MaskStrategy.RANDOM:
                text = self.tr("Two independent masks: {0:.0%} of the pixels are shown twice, {1:.0%} never.").format(
                    twins.both, twins.never
                )
            case MaskStrategy.SINGLE:
                text = self.tr("One masked view (MIC): {0:.0%} of the pixels are hidden.").format(twins.hidden[0])
            case MaskStrategy.OFF:
                return self.tr("No masks: the twins' losses are left out.")
        if mask.block_fraction:
            text += " " + self.tr("Blocks of {0} px, {1:g} of the crop.").format(twins.block, mask.block_fraction)
        if mask.level is MaskLevel.FEATURES:
            text += " " + self.tr("The network sees the whole image, and these masks hide its features.")
        return text

    def _update_history(self) -> None:
        self.undo.setEnabled(self._project.can_undo)
        self.redo.setEnabled(self._project.can_redo)
