"""The run on the Train page: its curves, health, pictures and messages, live or read from its folder."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, Signal

from core.events import (
    CheckpointSaved,
    Evaluated,
    Event,
    Finished,
    HealthMeasured,
    Model,
    Paused,
    Phase,
    PhaseStarted,
    PreviewReady,
    RunStarted,
    SettingsChanged,
    StepDone,
)
from masktwins_gui.models.curves import CurveStore, Mark, TrainingTime
from masktwins_gui.models.differences import values_in_words
from masktwins_gui.models.health import HealthModel, reading
from masktwins_gui.models.history import LOG_LINES, RunHistory
from masktwins_gui.models.previews import Filmstrip, ReadPreview
from masktwins_gui.models.services import Jobs


class ShownRun(QObject):
    """Holds the models of one run at a time. GUI thread only."""

    changed = Signal(object)  # Path of the run, or None
    classes_changed = Signal()
    logged = Signal(str)  # one more line
    log_replaced = Signal()

    def __init__(self, jobs: Jobs, read_preview: ReadPreview, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.path: Path | None = None
        self.time = TrainingTime()
        self.losses = CurveStore(time=self.time, parent=self)
        self.quality = CurveStore(smoothing=0.0, time=self.time, parent=self)
        self.health = HealthModel(self, time=self.time)
        self.filmstrip = Filmstrip(jobs, read_preview, parent=self)
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self.classes: tuple[str, ...] = ()
        self.palette: tuple[tuple[int, int, int], ...] = ()

    @property
    def panels(self) -> dict[str, CurveStore]:
        return {"losses": self.losses, "quality": self.quality, "health": self.health.curves}

    # Whole runs --------------------------------------------------------------------------------

    def begin(self, path: Path | None) -> None:
        """Show a run that has nothing to show yet; None for no run."""
        self.path = path
        self.time.clear()
        self.losses.clear()
        self.quality.clear()
        self.health.clear()
        self.filmstrip.open(path)
        self.log.clear()
        self.log_replaced.emit()
        self._set_classes((), ())
        self.changed.emit(path)

    def take(self, history: RunHistory, preview_steps: Sequence[int], verdict: str = "") -> None:
        """Show what was read from a run's folder."""
        self.path = history.path
        self.time = history.time
        for store in self.panels.values():
            store.time = history.time
        self.losses.take(history.losses, history.marks)
        self.quality.take(history.quality, history.marks)
        self.health.take(history.readings, history.health, history.marks, verdict)
        self.filmstrip.open(history.path, preview_steps)
        self.log = deque(history.log, LOG_LINES)
        self.log_replaced.emit()
        self._set_classes(history.classes, history.palette)
        self.changed.emit(history.path)

    def cut_after(self, step: int) -> None:
        """Forget what a resumed run makes again."""
        for store in self.panels.values():
            store.cut_after(step)
        self.time.cut_after(step)
        self.filmstrip.cut_after(step)

    # A run that trains -------------------------------------------------------------------------

    def write(self, line: str) -> None:
        """Append a line to the messages."""
        self.log.append(line)
        self.logged.emit(line)

    def add_steps(self, steps: Sequence[StepDone]) -> None:
        """Append logged steps, all that came since the last time at once."""
        if steps:
            numbers = np.array([(event.step, event.seconds_per_step) for event in steps])
            self.time.add(numbers[:, 0], numbers[:, 1])
            self.losses.add((event.step, event.losses) for event in steps)

    def handle(self, event: Event) -> None:
        """Take what an event brings to see; the steps come by `add_steps`."""
        match event:
            case RunStarted():
                self._set_classes(event.classes, event.palette)
            case PhaseStarted(phase, step) if step > 0 and phase is Phase.ADAPT:
                self._mark_once(Mark(step, "phase", self.tr("adaptation begins")))
            case Evaluated(step, model, scores):
                self.quality.add([(step, {model.value: scores.miou})])
            case HealthMeasured(step, model, values, score):
                self.health.add([reading(step, values, score, is_source=model is Model.SOURCE)])
            case PreviewReady():
                self.filmstrip.add(event)
            case CheckpointSaved(step, path):
                self._mark_once(Mark(step, "checkpoint", self.tr("Checkpoint {0}").format(path.name)))
            case SettingsChanged(step, changes):
                self._mark_once(Mark(step, "change", values_in_words(changes)))
            case Paused(step):
                self._mark_once(Mark(step, "pause", self.tr("Paused")))
            case Finished():
                self.health.set_verdict(str(event.result.get("verdict") or ""))
            case _:
                pass

    def _mark_once(self, mark: Mark) -> None:
        """A resumed run tells again of marks that its folder has told already."""
        for store in self.panels.values():
            if mark not in store.marks:
                store.mark(mark)

    def _set_classes(self, classes: Sequence[str], palette: Sequence[tuple[int, int, int]]) -> None:
        self.classes, self.palette = tuple(classes), tuple(palette)
        self.classes_changed.emit()
