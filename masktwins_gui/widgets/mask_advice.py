"""The suggested masks with their reason, and the button that takes them over."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from core.checking.suggest import Suggestion, suggest
from core.configuration.config import RunConfig
from masktwins_gui import theme
from masktwins_gui.models.dataset import DatasetModel
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.services import Jobs, TaskContext
from masktwins_gui.plain_text import plain_tip


class MaskAdvice(QFrame):
    """Shows the check's suggestion; for other crops than the check's it is measured again, off the GUI thread."""

    def __init__(self, project: ProjectModel, dataset: DatasetModel, jobs: Jobs, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("masks.suggestion")
        self.setProperty("role", "card")
        self._project, self._dataset, self._jobs = project, dataset, jobs
        self._asked: tuple[int, int] | None = None  # crop that is being measured for
        self.heading = theme.label("", "heading")
        self.reason = theme.label("", "muted")
        self.reason.setObjectName("masks.suggestion.reason")
        self.reason.setWordWrap(True)
        self.apply = QPushButton(self.tr("Apply"))
        self.apply.setObjectName("masks.suggestion.apply")
        self.apply.setToolTip(self.tr("Set block size and ratio to these values; Undo takes it back"))
        row = QHBoxLayout()
        row.addWidget(self.heading, 1)
        row.addWidget(self.apply)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 10, 8)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.reason)

        self.apply.clicked.connect(self._apply)
        project.changed.connect(self.refresh)
        dataset.changed.connect(self._start_anew)
        dataset.checked.connect(self.refresh)
        self.refresh()

    @property
    def suggestion(self) -> Suggestion | None:
        """For the present folders and crop; None where nothing is known yet."""
        return self._dataset.suggestions.get(self._project.config.training.crop_hw)

    def refresh(self, *_: object) -> None:
        found = self.suggestion
        self.apply.setVisible(found is not None)
        if found is None:
            self._ask()
            return
        self.heading.setText(self.tr("Suggested: {0} px, ratio {1:g}").format(found.block_size, found.ratio))
        self.reason.setText(found.reason)
        used = _holds(self._project.config, found)
        self.apply.setEnabled(not used)
        self.apply.setText(self.tr("✓ In use") if used else self.tr("Apply"))

    def _apply(self) -> None:
        if (found := self.suggestion) is not None:
            self._project.change(
                {"mask.block_size": found.block_size, "mask.block_fraction": 0.0, "mask.ratio": found.ratio}
            )

    # Measuring ---------------------------------------------------------------------------------

    def _start_anew(self) -> None:
        self._asked = None
        self.refresh()

    def _ask(self) -> None:
        """Measure the labels' regions for the present crop."""
        holdings, crop_hw = self._dataset.holdings, self._project.config.training.crop_hw
        space = holdings.space
        labels = [pair.label for pair in self._dataset.pairs("source") if pair.label is not None]
        self.heading.setText(self.tr("Suggestion"))
        if not labels or space is None:
            self.reason.setText(self.tr("Once there are source labels, block size and ratio are suggested from them."))
            return
        self.reason.setText(self.tr("Measuring the regions of the labels …"))
        if self._asked == crop_hw:
            return
        self._asked = crop_hw

        def work(_: TaskContext) -> Suggestion:
            return suggest(labels, space, crop_hw)

        def take(found: Suggestion) -> None:
            if self._dataset.holdings is holdings:  # else of folders that are no longer chosen
                self._dataset.suggestions[crop_hw] = found
                self._asked = None
                self.refresh()

        self._jobs.submit("suggest", work, take, self._failed)

    def _failed(self, message: str, details: str) -> None:
        self.reason.setText(message)
        self.reason.setToolTip(plain_tip(details))


def _holds(config: RunConfig, found: Suggestion) -> bool:
    mask = config.mask
    return (mask.block_size, mask.block_fraction, mask.ratio) == (found.block_size, 0.0, found.ratio)
