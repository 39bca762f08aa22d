"""The map of the compare desk: one dot per image, by change and confidence or as the encoder sees it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from core.dataset.folders import Pair
from masktwins_gui import theme
from masktwins_gui.models.desk import DeskModel, change_and_confidence, with_features
from masktwins_gui.models.scatter import on_common_axes
from masktwins_gui.models.services import Jobs
from masktwins_gui.widgets.controls import combo, describe, push_button
from masktwins_gui.widgets.map_view import MapView

FEATURES = 1  # index of the axes that need the encoders


class MapPanel(QWidget):
    """Draws the images whose facts are known; those of the labelled camera as rings."""

    chosen = Signal(object)  # Pair
    subset_chosen = Signal(object)  # frozenset of image paths, or None for all

    def __init__(self, desk: DeskModel, jobs: Jobs, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk, self._jobs = desk, jobs
        self._current: Pair | None = None
        self._all: Sequence[Pair] = ()
        self._source: frozenset[Path] = frozenset()
        self._shown: list[Pair] = []
        self.axes = combo(
            "inspect.map_axes",
            self.tr("What the map shows"),
            self.tr("How much an image changes and how sure B is, or the encoder's features on their two main axes"),
        )
        self.axes.addItems([self.tr("Change and confidence"), self.tr("Encoder features")])
        self.side = push_button(
            "inspect.map_side",
            self.tr("Shows B"),
            self.tr("Whose encoder: where adapting worked, the two cameras' dots mix"),
        )
        self.side.setCheckable(True)
        self.view = MapView()
        describe(
            self.view,
            "inspect.map",
            self.tr("Map of the images"),
            self.tr(
                "Click a dot to see its image; draw round several to list them alone; wheel and right button move the map"
            ),
        )
        self.view.hint = self.tr("“Compare all” finds out where each image lies.")
        self.legend = theme.label("", "muted")
        self.legend.setWordWrap(True)
        self.show_all = push_button("inspect.map_all", self.tr("Show all images"), self.tr("List all images again"))
        row = QHBoxLayout()
        row.addWidget(self.axes, 1)
        row.addWidget(self.side)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 6, 4, 4)
        layout.addLayout(row)
        layout.addWidget(self.view, 1)
        layout.addWidget(self.legend)
        layout.addWidget(self.show_all)
        self.axes.currentIndexChanged.connect(self.draw)
        self.side.toggled.connect(self.draw)
        self.view.chosen.connect(lambda index: self.chosen.emit(self._shown[index]))
        self.view.lassoed.connect(self._on_lasso)
        self.show_all.clicked.connect(lambda: self._on_lasso(None))
        self.draw()

    def set_pairs(self, pairs: Sequence[Pair], source: frozenset[Path]) -> None:
        """Draw other images; `source`: paths of those of the labelled camera."""
        self._all, self._source = pairs, source
        self.draw()

    def set_current(self, pair: Pair | None) -> None:
        self._current = pair
        self.view.set_current(self._shown.index(pair) if pair in self._shown else -1)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.draw()

    def draw(self) -> None:
        """Draw what is known by now, if anybody sees it."""
        by_features = self.axes.currentIndex() == FEATURES
        self.side.setVisible(by_features)
        self.side.setText(self.tr("Shows A") if self.side.isChecked() else self.tr("Shows B"))
        if not self.isVisible():
            return
        if not by_features:
            pairs, points = change_and_confidence(self._desk, self._all)
            self.view.set_titles(self.tr("change"), self.tr("confidence of B"))
            self._place(pairs, points, np.array([[0.0, 0.0], [1.0, 1.0]]))
            return
        pairs, first, second = with_features(self._desk, self._all)

        def show(places: tuple[np.ndarray, np.ndarray]) -> None:
            if self.axes.currentIndex() == FEATURES:
                self.view.set_titles(self.tr("first axis"), self.tr("second axis"))
                points = places[0] if self.side.isChecked() else places[1]
                self._place(pairs if len(points) else [], points, np.concatenate(places))

        self._jobs.submit("inspect map", lambda _: on_common_axes(first, second), show)

    def _place(self, pairs: list[Pair], points: np.ndarray, bounds: np.ndarray) -> None:
        self._shown = pairs
        is_source = np.array([pair.image in self._source for pair in pairs], bool)
        self.view.set_points(points, is_source, bounds)
        self.view.set_current(self._shown.index(self._current) if self._current in self._shown else -1)
        self.legend.setText(self._legend(is_source))

    def _legend(self, is_source: np.ndarray) -> str:
        rings, dots = int(is_source.sum()), int((~is_source).sum())
        return self.tr("● {0} target images   ○ {1} source images").format(dots, rings) if rings else ""

    def _on_lasso(self, indices: list[int] | None) -> None:
        self.subset_chosen.emit(None if indices is None else frozenset(self._shown[i].image for i in indices))
