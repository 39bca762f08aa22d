"""Choosing a model: a run, and which of its checkpoints and networks; or one from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QWidget

from core.events import Model
from masktwins_gui.models.choices import choices
from masktwins_gui.models.runs import RunInfo
from masktwins_gui.models.services import ModelChoice, ModelKind
from masktwins_gui.widgets.controls import combo

OPEN_WEIGHTS, OPEN_PICTURES = "weights", "pictures"  # entries that ask for a path


class ModelPicker(QWidget):
    """Follows the newest run, and its newest checkpoint, until something is chosen by hand."""

    changed = Signal()  # another model, or other weights of the same

    def __init__(
        self,
        run_name: str,
        model_name: str,
        default: Model,
        *,
        letter: str = "",
        offers_others: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        """Make both lists.

        Args:
            run_name: object name of the list of runs; `model_name`: of that of its models.
            letter: what the model is called on the page, for screen readers.
            offers_others: whether a file and a folder of predictions may be chosen too.
        """
        super().__init__(parent)
        self._default, self._offers_others = default, offers_others
        self._others: list[ModelChoice] = []
        self._by_hand: set[QComboBox] = set()
        self._told: tuple[ModelChoice, str] | None = None
        of = f" {letter}" if letter else ""
        self.run = combo(run_name, self.tr("Run of model{0}").format(of))
        self.model = combo(model_name, self.tr("Model{0}").format(of), self.tr("Checkpoint, and student or teacher"))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.run, 2)
        layout.addWidget(self.model, 3)
        self.run.currentIndexChanged.connect(self._on_run)
        self.model.currentIndexChanged.connect(self._tell)
        self.run.activated.connect(self._on_activated)
        self.model.activated.connect(lambda: self._by_hand.add(self.model))

    # What is chosen ----------------------------------------------------------------------------

    @property
    def choice(self) -> ModelChoice | None:
        """The chosen model; None where no run has one."""
        data = self.run.currentData()
        return data if isinstance(data, ModelChoice) else self.model.currentData()

    @property
    def run_info(self) -> RunInfo | None:
        """The chosen run; None where the model is of other origin."""
        data = self.run.currentData()
        return data if isinstance(data, RunInfo) else None

    def choose(self, choice: ModelChoice) -> None:
        """Choose one of the run's models, as if by hand."""
        self._by_hand.add(self.model)
        self.model.setCurrentIndex(self._index_of(choice))

    def timeline(self) -> list[ModelChoice]:
        """The source-only model and every checkpoint of the run in order, as teacher or student as now chosen."""
        chosen = self.choice
        which = Model.STUDENT if chosen and chosen.which is Model.STUDENT else Model.TEACHER
        offered = [self.model.itemData(index) for index in range(self.model.count())]
        newest = [c for c in offered if c.which is which and c.checkpoint == "last" and c.kind is ModelKind.WEIGHTS]
        steps = [c for c in offered if c.which is which and c.checkpoint.isdecimal()]
        return [*(c for c in offered if c.which is Model.SOURCE), *reversed(steps), *newest]

    # What is offered ---------------------------------------------------------------------------

    def set_runs(self, runs: Sequence[RunInfo]) -> None:
        """Offer the runs that hold a model, the newest first."""
        usable = [run for run in runs if run.checkpoints or run.has_source]
        kept = self.run.currentData() if self.run in self._by_hand else None
        kept_path = kept.path if isinstance(kept, RunInfo | ModelChoice) else None
        if not usable:
            self._others.clear()  # of a project that was left
            self._by_hand.clear()
        blocker = QSignalBlocker(self.run)
        self.run.clear()
        for run in usable:
            self.run.addItem(run.name, run)
        for other in self._others:
            self.run.addItem(other.title, other)
        paths = [self.run.itemData(index).path for index in range(self.run.count())]
        if usable and self._offers_others:
            self.run.insertSeparator(self.run.count())
            self.run.addItem(self.tr("Another model …"), OPEN_WEIGHTS)
            self.run.addItem(self.tr("Folder of predicted PNGs …"), OPEN_PICTURES)
        self.run.setCurrentIndex(paths.index(kept_path) if kept_path in paths else 0 if paths else -1)
        blocker.unblock()
        self._on_run()

    def add_other(self, choice: ModelChoice) -> None:
        """Offer a model that is no run's, and choose it."""
        if choice not in self._others:
            self._others.append(choice)
            runs = [d for i in range(self.run.count()) if isinstance(d := self.run.itemData(i), RunInfo)]
            blocker = QSignalBlocker(self.run)
            self.run.insertItem(len(runs) + len(self._others) - 1, choice.title, choice)
            blocker.unblock()
        self._by_hand.add(self.run)
        self.run.setCurrentIndex(
            next(i for i in range(self.run.count()) if self.run.itemData(i, Qt.ItemDataRole.UserRole) == choice)
        )
        self._on_run()

    def _on_activated(self) -> None:
        data = self.run.currentData()
        if data not in (OPEN_WEIGHTS, OPEN_PICTURES):
            self._by_hand.add(self.run)
            return
        self._go_back()
        choice = self._ask_for_weights() if data == OPEN_WEIGHTS else self._ask_for_pictures()
        if choice is not None:
            self.add_other(choice)

    def _go_back(self) -> None:
        """Leave the entry that only asks for a path."""
        path = self._told[0].path if self._told else None
        entries = [self.run.itemData(index) for index in range(self.run.count())]
        index = next((i for i, d in enumerate(entries) if isinstance(d, RunInfo | ModelChoice) and d.path == path), 0)
        self.run.setCurrentIndex(index)

    def _ask_for_weights(self) -> ModelChoice | None:
        kinds = self.tr("Run, checkpoint or bundle (run.toml model.json *.safetensors)")
        name, _ = QFileDialog.getOpenFileName(self, self.tr("Another model"), "", kinds)
        if not name:
            return None
        path = Path(name)
        path = path if path.suffix == ".safetensors" else path.parent
        return ModelChoice(path, Model.TEACHER, "last", path.name)

    def _ask_for_pictures(self) -> ModelChoice | None:
        name = QFileDialog.getExistingDirectory(self, self.tr("Folder of predicted PNGs"))
        if not name:
            return None
        return ModelChoice(Path(name), Model.TEACHER, "last", Path(name).name, ModelKind.PICTURES)

    def _on_run(self) -> None:
        run = self.run_info
        if isinstance(self.run.currentData(), str):
            return  # `_on_activated` asks for a path
        kept = self.model.currentData() if self.model in self._by_hand else None
        blocker = QSignalBlocker(self.model)
        self.model.clear()
        for choice in choices(run, self._words()) if run else ():
            self.model.addItem(choice.title, choice)
        self.model.setEnabled(run is not None)
        self.model.setCurrentIndex(self._index_of(kept))
        blocker.unblock()
        self._tell()

    def _index_of(self, choice: ModelChoice | None) -> int:
        offered = [self.model.itemData(index) for index in range(self.model.count())]
        if choice is not None and run_free(choice) in map(run_free, offered):
            return list(map(run_free, offered)).index(run_free(choice))
        return next((i for i, c in enumerate(offered) if c.which is self._default), 0 if offered else -1)

    def _tell(self) -> None:
        choice = self.choice
        now = (choice, choice.newest) if choice else None
        if now != self._told:
            self._told = now
            self.changed.emit()

    def _words(self) -> dict[str, str]:
        return {
            "source": self.tr("Source-only"),
            "starting": self.tr("Starting weights"),
            "teacher": self.tr("Teacher"),
            "student": self.tr("Student"),
            "last": self.tr("newest"),
            "miou": self.tr("best mIoU"),
            "health": self.tr("best health"),
            "step {0}": self.tr("step {0}"),
        }


def run_free(choice: ModelChoice) -> tuple[Model, str, ModelKind]:
    """What stays of a choice when another run is chosen."""
    return choice.which, choice.checkpoint, choice.kind
