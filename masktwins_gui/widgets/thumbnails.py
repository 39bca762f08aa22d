"""Thumbnails of one role's images, with their labels laid over them."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QSignalBlocker, QSize, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QHBoxLayout, QListView, QVBoxLayout, QWidget

from masktwins_gui import theme
from masktwins_gui.models.dataset import DatasetModel
from masktwins_gui.models.images import THUMBNAIL, ImagesModel
from masktwins_gui.models.pictures import thumbnail
from masktwins_gui.models.services import Jobs
from masktwins_gui.widgets.class_legend import ClassLegend
from masktwins_gui.widgets.controls import combo, describe, slider


class ThumbnailPanel(QWidget):
    """Chooses source, target or evaluation images and shows them."""

    def __init__(self, dataset: DatasetModel, jobs: Jobs, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._dataset, self._jobs = dataset, jobs
        self.role = combo("data.images.role", self.tr("Which images"))
        self.opacity = slider("data.images.opacity", self.tr("Opacity of the labels"), 50)
        self.opacity.setMaximumWidth(120)
        self.count = theme.label("", "muted")
        self.images = ImagesModel(self)
        self.view = QListView()
        describe(self.view, "data.images", self.tr("Images"), self.tr("The images with their labels laid over them"))
        self.view.setModel(self.images)
        self.view.setViewMode(QListView.ViewMode.IconMode)
        self.view.setIconSize(THUMBNAIL)
        self.view.setGridSize(QSize(THUMBNAIL.width() + 14, THUMBNAIL.height() + 34))
        self.view.setResizeMode(QListView.ResizeMode.Adjust)
        self.view.setMovement(QListView.Movement.Static)
        self.view.setUniformItemSizes(True)
        self.view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.view.setLayoutMode(QListView.LayoutMode.Batched)
        self.legend = ClassLegend()
        self.pairing = theme.label("", "muted")
        self.pairing.setObjectName("data.images.pairing")
        self.pairing.setWordWrap(True)
        self.pairing.hide()
        self._pairings: Mapping[str, str] = {}

        self._lay_out()
        self.images.wanted.connect(self._make)
        self.role.currentIndexChanged.connect(self._show)
        self.opacity.sliderReleased.connect(self._show)
        dataset.changed.connect(self._on_dataset)
        self._on_dataset()

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.addWidget(self.role)
        top.addWidget(self.count, 1)
        top.addWidget(theme.label(self.tr("Labels")))
        top.addWidget(self.opacity)
        layout = QVBoxLayout(self)
        layout.addLayout(top)
        layout.addWidget(self.view, 1)
        layout.addWidget(self.legend)
        layout.addWidget(self.pairing)

    def show_pairing(self, pairings: Mapping[str, str]) -> None:
        """Say how images and labels were paired by their names, by role."""
        self._pairings = pairings
        self._show_pairing()

    def _show_pairing(self) -> None:
        words = self._pairings.get(self.role.currentData() or "", "")
        self.pairing.setText(self.tr("Paired by name: {0}").format(words))
        self.pairing.setVisible(bool(words))

    def _on_dataset(self) -> None:
        titles = {"source": self.tr("Source"), "target": self.tr("Target"), "evaluation": self.tr("Target, labelled")}
        kept = self.role.currentData()
        blocker = QSignalBlocker(self.role)
        self.role.clear()
        for role, title in titles.items():
            if self._dataset.pairs(role):
                self.role.addItem(title, role)
        self.role.setCurrentIndex(max(0, self.role.findData(kept)))
        blocker.unblock()
        self._pairings = {}
        self.legend.set_space(self._dataset.holdings.space)
        self._show()

    def _show(self) -> None:
        pairs = self._dataset.pairs(self.role.currentData() or "")
        self.images.set_pairs(pairs)
        self._show_pairing()
        self.count.setText(self.tr("{0} images").format(len(pairs)))

    def _make(self, row: int) -> None:
        pair, generation = self.images.pairs[row], self.images.generation
        space, opacity = self._dataset.holdings.space, self.opacity.value() / 100

        def show(image: QImage) -> None:
            self.images.set_thumbnail(generation, row, image)

        def fail(message: str, details: str) -> None:
            self.images.set_broken(generation, row)

        self._jobs.submit(f"thumbnail {generation} {row}", lambda _: thumbnail(pair, space, opacity), show, fail)
