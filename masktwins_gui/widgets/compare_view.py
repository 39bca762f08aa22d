"""Two predictions of one image: side by side with linked zoom, or swiped over each other."""

from __future__ import annotations

import numpy as np
from PySide6.QtWidgets import QGridLayout, QStackedWidget, QVBoxLayout, QWidget

from core.render import colourise, overlay
from masktwins_gui.models.services import Prediction
from masktwins_gui.widgets.image_view import ImageView, SwipeView, Viewport


class CompareView(QWidget):
    """Shows a Prediction. Opacity 0 is the image alone, 1 the labels alone."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("inspect.compare")
        self.viewport = Viewport(self)
        self.first = ImageView("A", self.viewport)
        self.second = ImageView("B", self.viewport)
        self.original = ImageView(self.tr("Target image"), self.viewport)
        self.truth = ImageView(self.tr("Ground truth"), self.viewport)
        self.swipe = SwipeView(self.viewport)
        self.swipe.setAccessibleName(self.tr("A left of the line, B right of it"))
        for view, name in (
            (self.first, "a"),
            (self.second, "b"),
            (self.original, "image"),
            (self.truth, "truth"),
            (self.swipe, "swipe"),
        ):
            view.setObjectName(f"inspect.view.{name}")
        self._prediction: Prediction | None = None
        self._opacity = 0.6

        beside = QWidget()
        grid = QGridLayout(beside)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(6)
        for index, view in enumerate((self.first, self.second, self.original, self.truth)):
            grid.addWidget(view, index // 2, index % 2)
        self.stack = QStackedWidget()
        self.stack.addWidget(beside)
        self.stack.addWidget(self.swipe)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.stack)
        self.truth.set_hint(self.tr("no label"))

    def set_titles(self, first: str, second: str) -> None:
        self.first.set_caption(f"A · {first}")
        self.second.set_caption(f"B · {second}")
        self.swipe.set_caption(f"A · {first}   ‹›   B · {second}")

    def set_swiping(self, swiping: bool) -> None:
        self.stack.setCurrentIndex(1 if swiping else 0)

    def set_opacity(self, opacity: float) -> None:
        self._opacity = opacity
        self._draw()

    def set_hint(self, hint: str) -> None:
        for view in (self.first, self.second, self.swipe):
            view.set_hint(hint)

    def show_prediction(self, prediction: Prediction | None) -> None:
        self._prediction = prediction
        self._draw()

    def _draw(self) -> None:
        shown = self._prediction
        if shown is None:
            for view in (self.first, self.second, self.original, self.truth):
                view.set_picture(None)
            self.swipe.set_pictures(None, None)
            return
        first, second = self._coloured(shown.first), self._coloured(shown.second)
        self.first.set_picture(first)
        self.second.set_picture(second)
        self.swipe.set_pictures(first, second)
        fits = shown.label is not None and shown.label.shape == shown.image.shape[:2]
        self.original.set_picture(shown.image)
        self.truth.set_picture(self._coloured(shown.label) if fits and shown.label is not None else None)

    def _coloured(self, label: np.ndarray) -> np.ndarray:
        assert self._prediction is not None
        if self._opacity >= 1:
            return colourise(label, self._prediction.palette)
        return overlay(self._prediction.image, label, self._prediction.palette, self._opacity)
