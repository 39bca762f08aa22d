"""The live views of the preview frames, and a slider through the training's past."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QSlider, QVBoxLayout, QWidget

from masktwins_gui import theme
from masktwins_gui.models.previews import PreviewHistory
from masktwins_gui.widgets.image_view import ImageView, Viewport

COLUMNS = 3


class PreviewGrid(QWidget):
    """Target, pseudo-label and confidence; the twins; what the student predicts from them."""

    def __init__(self, history: PreviewHistory, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("train.previews")
        self._history = history
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
        }
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
        self.filmstrip.setToolTip(
            self.tr("Scrub through the training; at the right end the newest preview is followed")
        )
        self.step_label = theme.label(self.tr("no preview yet"))
        self.step_label.setMinimumWidth(92)
        self._lay_out()

        history.changed.connect(self._on_history)
        self.filmstrip.valueChanged.connect(self._show)
        self.frame.currentIndexChanged.connect(self._show)
        self._on_history()

    def _reasons(self) -> dict[str, str]:
        """Why a view may be missing from a preview."""
        masked = ("twin_a", "twin_b", "prediction_a", "prediction_b")
        for name in masked:
            self.views[name].setToolTip(self.tr("Of more than two complementary masks the first two are shown"))
        reasons = dict.fromkeys(masked, self.tr("not with these masks"))
        return {
            **reasons, "disagreement": self.tr("of two twins only"), "ground_truth": self.tr("no target labels"),
        }  # fmt: skip

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setSpacing(6)
        for index, view in enumerate(self.views.values()):
            grid.addWidget(view, index // COLUMNS, index % COLUMNS)
        strip = QHBoxLayout()
        strip.addWidget(self.frame)
        strip.addWidget(self.filmstrip, 1)
        strip.addWidget(self.step_label)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 6, 4, 4)
        layout.addLayout(grid, 1)
        layout.addLayout(strip)

    def _on_history(self) -> None:
        previews = self._history.previews
        follows = self.filmstrip.value() == self.filmstrip.maximum()
        blocker = QSignalBlocker(self.filmstrip)
        self.filmstrip.setRange(0, max(0, len(previews) - 1))
        if follows:
            self.filmstrip.setValue(self.filmstrip.maximum())
        blocker.unblock()
        self.filmstrip.setEnabled(len(previews) > 1)
        names = list(previews[-1].names) if previews else []
        if names != [self.frame.itemText(i) for i in range(self.frame.count())]:
            frame_blocker = QSignalBlocker(self.frame)
            self.frame.clear()
            self.frame.addItems(names)
            frame_blocker.unblock()
        self._show()

    def _show(self) -> None:
        previews, frame = self._history.previews, max(0, self.frame.currentIndex())
        pictures = {}
        if previews:
            preview = previews[min(self.filmstrip.value(), len(previews) - 1)]
            self.step_label.setText(self.tr("step {0}").format(preview.step))
            if frame < len(preview.frames):
                pictures = preview.frames[frame]
        else:
            self.step_label.setText(self.tr("no preview yet"))
        for name, view in self.views.items():
            view.set_hint(self._absent.get(name, "") if pictures else "")
            view.set_picture(pictures.get(name))
