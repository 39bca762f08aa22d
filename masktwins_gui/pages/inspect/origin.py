"""Where the images of the compare desk come from: the project's cameras, a folder, or a video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QComboBox, QFileDialog, QVBoxLayout, QWidget

from core.dataset.folders import Pair, scan
from core.dataset.names import VIDEO_SUFFIXES
from masktwins_gui.models.dataset import DatasetModel
from masktwins_gui.models.pictures import list_frames
from masktwins_gui.models.services import Jobs
from masktwins_gui.widgets.controls import combo

TARGET, SOURCE, BOTH, ASK_FOLDER, ASK_VIDEO = "target", "source", "both", "folder", "video"
OF_PROJECT = (TARGET, SOURCE, BOTH)


class OriginBox(QWidget):
    """A list of origins; the last two entries ask for a path, which becomes an entry of its own."""

    changed = Signal()  # other images
    failed = Signal(str, str)

    def __init__(self, dataset: DatasetModel, jobs: Jobs, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._dataset, self._jobs = dataset, jobs
        self._pairs: Sequence[Pair] = ()  # of a folder or a video
        self._kept = TARGET
        self.box: QComboBox = combo(
            "inspect.origin",
            self.tr("Images to look at"),
            self.tr("The project's images, another folder of images, or a video"),
        )
        for title, value in (
            (self.tr("Target images"), TARGET),
            (self.tr("Source images"), SOURCE),
            (self.tr("Both cameras"), BOTH),
            (self.tr("Folder …"), ASK_FOLDER),
            (self.tr("Video …"), ASK_VIDEO),
        ):
            self.box.addItem(title, value)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.box)
        self.box.activated.connect(self._on_activated)
        dataset.changed.connect(self._on_dataset)

    @property
    def pairs(self) -> Sequence[Pair]:
        """The images to look at, with their labels where there are any."""
        match self.box.currentData():
            case "target":
                return self._dataset.to_look_at
            case "source":
                return self._dataset.pairs("source")
            case "both":
                cameras = (("target", self._dataset.to_look_at), ("source", self._dataset.pairs("source")))
                return [Pair(p.image, p.label, f"{camera}/{p.name}") for camera, pairs in cameras for p in pairs]
        return self._pairs

    @property
    def source(self) -> frozenset[Path]:
        """Paths of the images of the labelled camera."""
        return frozenset(pair.image for pair in self._dataset.pairs("source"))

    def open(self, path: Path) -> None:
        """Look at a folder of images or a video, once it has been listed."""
        is_video = path.suffix.lower() in VIDEO_SUFFIXES

        def work(_: object) -> Sequence[Pair]:
            pairs = list_frames(path) if is_video else scan(path).pairs
            if not pairs:
                raise ValueError(f"{path} holds no images; choose another folder.")
            return pairs

        def show(pairs: Sequence[Pair]) -> None:
            self._pairs, self._kept = pairs, str(path)
            blocker = QSignalBlocker(self.box)
            index = self.box.findData(str(path))
            if index < 0:
                index = len(OF_PROJECT)
                self.box.insertItem(index, path.name, str(path))
            self.box.setCurrentIndex(index)
            blocker.unblock()
            self.changed.emit()

        self._jobs.submit("inspect origin", work, show, self._fail)

    def _on_activated(self) -> None:
        chosen = str(self.box.currentData())
        if chosen in OF_PROJECT:
            self._kept = chosen
            self.changed.emit()
            return
        self.box.setCurrentIndex(self.box.findData(self._kept))
        path = self._ask(chosen) if chosen in (ASK_FOLDER, ASK_VIDEO) else Path(chosen)
        if path is not None:
            self.open(path)

    def _fail(self, message: str, details: str) -> None:
        self.failed.emit(message, details)

    def _ask(self, chosen: str) -> Path | None:
        if chosen == ASK_FOLDER:
            name = QFileDialog.getExistingDirectory(self, self.tr("Folder of images"))
        else:
            kinds = " ".join(f"*{suffix}" for suffix in sorted(VIDEO_SUFFIXES))
            name, _ = QFileDialog.getOpenFileName(self, self.tr("Video"), "", self.tr("Video ({0})").format(kinds))
        return Path(name) if name else None

    def _on_dataset(self) -> None:
        if self._kept in OF_PROJECT:
            self.changed.emit()
