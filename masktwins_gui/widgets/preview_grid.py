"""The live views of the preview frames, their classes, and a slider through the training's past."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QSlider, QVBoxLayout, QWidget

from masktwins_gui import theme
from masktwins_gui.models.shown_run import ShownRun
from masktwins_gui.widgets.class_legend import ClassLegend
from masktwins_gui.widgets.image_view import ImageView, Viewport

COLUMNS = 3
SHEET = "sheet"  # the one view of a preview without a layout


class PreviewGrid(QWidget):
    """Target, pseudo-label and confidence; the twins; what the models predict, at the step of the filmstrip."""

    step_shown = Signal(object)  # int, or None where there is no preview

    def __init__(self, shown: ShownRun, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("train.previews")
        self._shown, self._strip = shown, shown.filmstrip
        titles = {
            "target": self.tr("Target"),
            "pseudo_label": self.tr("Pseudo-label"),
            "confidence": self.tr("Confidence"),
            "twin_a": self.tr("Twin A"),
            "twin_b": self.tr("Twin B"),
            "disagreement": self.tr("Twins disagree"),
            "prediction_a": self.tr("Predicted from A"),
            "prediction_b": self.tr("Predicted from B"),
            "ground_truth": self.tr("Ground truth"),
            "student": self.tr("Student"),
            "teacher": self.tr("Teacher"),
        }
        titles[SHEET] = self.tr("All views, as an early version kept them")
        viewport = Viewport(self)
        self.views = {name: ImageView(title, viewport) for name, title in titles.items()}
        for name, view in self.views.items():
            view.setObjectName(f"train.view.{name}")
        self._absent = self._reasons()
        self.frame = QComboBox()
        self.frame.setObjectName("train.frame")
        self.frame.setAccessibleName(self.tr("Preview frame"))
        self.frame.setToolTip(self.tr("Fixed target images with fixed masks, predicted at each preview"))
        self.frame.setMinimumContentsLength(10)
        self.filmstrip = QSlider(Qt.Orientation.Horizontal)
        self.filmstrip.setObjectName("train.filmstrip")
        self.filmstrip.setAccessibleName(self.tr("Step of the previews"))
        self.filmstrip.setToolTip(self.tr("Go through the training; at the right end the newest preview is followed"))
        self.step_label = theme.label(self.tr("no preview yet"))
        self.step_label.setMinimumWidth(92)
        self.legend = ClassLegend()
        self._lay_out()

        self._strip.changed.connect(self._on_steps)
        self._strip.shown.connect(self._show)
        shown.classes_changed.connect(lambda: self.legend.set_classes(shown.classes, shown.palette))
        self.filmstrip.valueChanged.connect(lambda index: self._strip.choose(self._strip.steps[index]))
        self.frame.currentIndexChanged.connect(self._show)
        self._on_steps()
        self._show()

    def _reasons(self) -> dict[str, str]:
        """Why a view may be missing from a preview."""
        masked = ("twin_a", "twin_b", "prediction_a", "prediction_b")
        for name in masked:
            self.views[name].setToolTip(self.tr("Of more than two complementary masks the first two are shown"))
        reasons = dict.fromkeys(masked, self.tr("not with these masks"))
        return {
            "student": self.tr("not in this preview"),
            "teacher": self.tr("not before the adaptation"),
            **reasons, "disagreement": self.tr("of two twins only"), "ground_truth": self.tr("no target labels"),
        }  # fmt: skip

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setSpacing(6)
        single = [view for name, view in self.views.items() if name != SHEET]
        for index, view in enumerate(single):
            grid.addWidget(view, index // COLUMNS, index % COLUMNS)
        grid.addWidget(self.views[SHEET], 0, 0, -(-len(single) // COLUMNS), COLUMNS)
        self.views[SHEET].hide()
        strip = QHBoxLayout()
        strip.addWidget(self.frame)
        strip.addWidget(self.filmstrip, 1)
        strip.addWidget(self.step_label)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 6, 4, 4)
        layout.addLayout(grid, 1)
        layout.addWidget(self.legend)
        layout.addLayout(strip)

    def _on_steps(self) -> None:
        blocker = QSignalBlocker(self.filmstrip)
        self.filmstrip.setRange(0, max(0, len(self._strip.steps) - 1))
        blocker.unblock()
        self.filmstrip.setEnabled(len(self._strip.steps) > 1)

    def _show(self) -> None:
        step, preview = self._strip.step, self._strip.preview
        if step is not None and step in self._strip.steps:
            blocker = QSignalBlocker(self.filmstrip)
            self.filmstrip.setValue(self._strip.steps.index(step))
            blocker.unblock()
        if preview is not None:
            self._name_frames(list(preview.names))
        frame = max(0, self.frame.currentIndex())
        pictures = preview.frames[frame] if preview is not None and frame < len(preview.frames) else {}
        self.step_label.setText(self.tr("no preview yet") if step is None else self.tr("step {0}").format(step))
        waiting = self.tr("no preview yet") if step is None else self.tr("reading …")
        for name, view in self.views.items():
            view.set_hint(self._absent.get(name, "") if pictures else waiting)
            view.set_picture(pictures.get(name))
            view.setVisible((name == SHEET) == (SHEET in pictures))
        self.step_shown.emit(step)

    def _name_frames(self, names: list[str]) -> None:
        if names == [self.frame.itemText(i) for i in range(self.frame.count())]:
            return
        blocker = QSignalBlocker(self.frame)
        self.frame.clear()
        self.frame.addItems(names)
        blocker.unblock()
