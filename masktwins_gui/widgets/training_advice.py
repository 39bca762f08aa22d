"""What a new project may begin with, and why, in one click."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from core.checking.proposal import Proposal, propose
from masktwins_gui import theme
from masktwins_gui.models.dataset import DatasetModel
from masktwins_gui.models.presets import is_untouched, preset_changes
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.widgets.controls import push_button


class TrainingAdvice(QFrame):
    """Appears after the check, as long as nothing was chosen that a preset sets. Applying it is one step of undo."""

    def __init__(self, project: ProjectModel, dataset: DatasetModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("data.proposal")
        self.setProperty("role", "card")
        self._project, self._dataset = project, dataset
        self.heading = theme.label("", "heading")
        self.heading.setWordWrap(True)
        self.reason = theme.label("", "muted")
        self.reason.setObjectName("data.proposal.reason")
        self.reason.setWordWrap(True)
        tip = self.tr("Set the preset, the crop, the batch and the steps together; Undo takes it back")
        self.apply = push_button("data.proposal.apply", self.tr("Apply"), tip, primary=True)
        row = QHBoxLayout()
        row.addWidget(self.heading, 1)
        row.addWidget(self.apply)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 10, 8)
        layout.setSpacing(4)
        layout.addLayout(row)
        layout.addWidget(self.reason)

        self.apply.clicked.connect(self._apply)
        for signal in (project.changed, dataset.changed, dataset.checked, dataset.device_changed):
            signal.connect(self.refresh)
        self.refresh()

    @property
    def proposal(self) -> Proposal | None:
        """For the images that were checked and the device that was found; None where either is unknown."""
        chosen = self._project.config.training.device
        device = self._dataset.device if chosen == "auto" else chosen
        if self._dataset.report is None or not device:
            return None
        return propose(self._dataset.report.statistics.domains, device)

    def refresh(self, *_: object) -> None:
        found = self.proposal if is_untouched(self._project.config) else None
        self.setVisible(found is not None)
        if found is not None:
            text = self.tr("Suggested: preset {0}, crop {1} px, batch {2}, {3} steps")
            self.heading.setText(text.format(found.preset, found.crop, found.batch, found.steps))
            self.reason.setText(" ".join(found.reasons))

    def _apply(self) -> None:
        if (found := self.proposal) is not None:
            self._project.change({**preset_changes(found.preset), **found.changes})
