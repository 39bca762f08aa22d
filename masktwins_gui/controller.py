"""The transitions of a run, between the window and the thread that trains."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from core.configuration import settings
from core.configuration.config import RunConfig
from core.events import (
    LOSS_NAMES,
    CheckpointSaved,
    Evaluated,
    Event,
    Finished,
    HealthMeasured,
    Model,
    Paused,
    PhaseStarted,
    Preparing,
    PreviewReady,
    Resumed,
    RunStarted,
    SettingsChanged,
    StepDone,
    Warned,
)
from core.runs.create import create_run, new_run_path, why_not_a_name
from core.runs.folder import RunFolder
from masktwins_gui.models.curves import CurveStore, Mark
from masktwins_gui.models.health import HealthModel, reading, readings
from masktwins_gui.models.previews import PreviewHistory
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.runs import RunInfo, RunsModel, list_runs
from masktwins_gui.models.states import RunState
from masktwins_gui.workers.inference import InferenceWorker
from masktwins_gui.workers.jobs import JobPool
from masktwins_gui.workers.training import Engine, Mailbox, TrainingWorker

log = logging.getLogger(__name__)

DRAIN_MS = 100


class Controller(QObject):
    """Starts, steers and ends a run; turns its events into models and signals. GUI thread only."""

    state_changed = Signal(object)  # RunState
    message = Signal(str)  # one line about what is happening
    warned = Signal(object)  # Warned
    started = Signal(object)  # RunStarted
    stepped = Signal(object)  # StepDone, the newest of a drain
    evaluated = Signal(object)  # Evaluated
    run_shown = Signal(object)  # Path of the run whose curves are shown, or None
    ended = Signal(object)  # Finished
    failed = Signal(str, str)  # what happened, details

    def __init__(self, project: ProjectModel, engine: Engine | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.project = project
        self.state = RunState.IDLE
        self.losses = CurveStore(parent=self)
        self.quality = CurveStore(smoothing=0.0, parent=self)
        self.health = HealthModel(self)
        self.previews = PreviewHistory(parent=self)
        self.runs = RunsModel(self)
        self.jobs = JobPool(parent=self)
        self.inference = InferenceWorker(self)
        self.run_path: Path | None = None
        self._engine = engine
        self._worker: TrainingWorker | None = None
        self._old_rows: list[dict[str, str]] = []
        self._mailbox = Mailbox()
        self._sent: RunConfig = project.config
        self._timer = QTimer(self)
        self._timer.setInterval(DRAIN_MS)
        self._timer.timeout.connect(self._drain)
        project.changed.connect(self._send_changes)
        project.path_changed.connect(self._on_path)

    # Verbs -------------------------------------------------------------------------------------

    def start(self, name: str = "run") -> None:
        """Train the project's configuration as a new run beside the project file."""
        folder, config = self.project.folder, self.project.config
        if self.state.active or folder is None:
            return
        if why := why_not_a_name(name):
            self.failed.emit(why, "")
            return
        self._clear()
        path = new_run_path(folder, name)
        self._launch(path, lambda: create_run(config, path, folder), is_new=True)

    def resume_run(self, path: Path) -> None:
        """Go on with a run that ended before its last step; the curves begin with its metrics.csv."""
        if self.state.active:
            return
        self._clear()

        def find() -> RunFolder:
            folder = RunFolder(path)
            self._old_rows = folder.metrics()  # in the worker's thread; read after RunStarted has come
            return folder

        self._launch(path, find)

    def pause(self) -> None:
        if self._worker and self.state is RunState.RUNNING:
            self._worker.control.pause()
            self.message.emit(self.tr("Pausing after this step …"))

    def resume(self) -> None:
        if self._worker and self.state is RunState.PAUSED:
            self._worker.control.resume()

    def stop(self) -> None:
        """End cleanly, with a checkpoint."""
        if self._worker and self.state.active:
            self._worker.control.stop()
            self._set_state(RunState.STOPPING)
            self.message.emit(self.tr("Stopping: saving a checkpoint …"))

    def close(self) -> None:
        """End the other threads; a run must have ended before."""
        self._timer.stop()
        self.jobs.close()
        self.inference.close()

    # Runs on disk ------------------------------------------------------------------------------

    def refresh_runs(self) -> None:
        """List the project's runs anew, off the GUI thread."""
        folder = self.project.folder
        if folder is None:
            self.runs.set_runs(())
            return
        self.jobs.submit("runs", lambda _: list_runs(folder), self._take_runs)

    def _take_runs(self, runs: tuple[RunInfo, ...]) -> None:
        self.runs.set_runs(runs)
        if runs and not self.losses.series:
            self.show_run(runs[0])

    def show_run(self, run: RunInfo) -> None:
        """Load the curves of a run that is not training."""
        if self.state.active:
            return

        def show(rows: list[dict[str, str]]) -> None:
            if not self.state.active and run.path.parent.parent == self.project.folder:  # which may have changed since
                self._clear()
                self._add_rows(rows, run.source_steps)
                self.health.set_verdict(run.verdict)
                self.run_shown.emit(run.path)

        self.jobs.submit("metrics", lambda _: RunFolder(run.path).metrics(), show)

    def _add_rows(self, rows: list[dict[str, str]], source_steps: int) -> None:
        """Show rows of metrics.csv, whose columns are those of the version that wrote it."""
        parsed = [(int(row["step"]), {n: _number(v) for n, v in row.items()}) for row in rows if _has_step(row)]
        losses, quality = [], []
        for step, numbers in parsed:
            known = {name: value for name, value in numbers.items() if not math.isnan(value)}
            losses.append((step, {n: known[n] for n in LOSS_NAMES if n in known}))
            quality.append((step, {n.removesuffix("_miou"): v for n, v in known.items() if n.endswith("_miou")}))
        self.losses.add(losses)
        self.quality.add(quality)
        self.health.add(readings(parsed, source_steps))

    def _on_path(self) -> None:
        if not self.state.active and (self.run_path is None or self.run_path.parent.parent != self.project.folder):
            self._clear()
        self.refresh_runs()

    # The run's thread --------------------------------------------------------------------------

    def _launch(self, path: Path, make_run: Callable[[], RunFolder], *, is_new: bool = False) -> None:
        self.run_path, self._sent = path, self.project.config
        self.project.hold_history(True)
        self._mailbox = Mailbox()
        self._worker = TrainingWorker(make_run, self._mailbox, self._engine, self, is_new=is_new)
        self._worker.finished.connect(self._on_finished)
        self.run_shown.emit(path)
        self._set_state(RunState.PREPARING)
        self.message.emit(self.tr("Preparing …"))
        self._worker.start()
        self._timer.start()

    def _on_finished(self) -> None:
        self._timer.stop()
        self._drain()
        worker, self._worker = self._worker, None
        self.project.hold_history(False)
        failure = worker.failure if worker else None
        if worker:
            worker.wait()  # finished is sent a moment before the thread is gone
            worker.deleteLater()
        self.refresh_runs()
        if failure is None:
            self._set_state(RunState.IDLE)
            return
        self.previews.clear()  # no stale overlays beside an error
        self._set_state(RunState.FAILED)
        self.failed.emit(failure.message, failure.details)

    def _drain(self) -> None:
        events = self._mailbox.take()
        for event in events:
            self._handle(event)  # a resumed run's old rows come in here, before the new ones
        steps = [event for event in events if isinstance(event, StepDone)]
        if steps:
            self.losses.add((event.step, event.losses) for event in steps)
            self.stepped.emit(steps[-1])

    def _handle(self, event: Event) -> None:
        match event:
            case Preparing(message):
                self.message.emit(message)
            case RunStarted():
                self._on_started(event)
            case PhaseStarted(phase, step):
                self.losses.mark(Mark(step, "phase", self.tr("{0} steps begin").format(phase.value)))
            case Evaluated(step, model, scores):
                self.quality.add([(step, {model.value: scores.miou})])
                self.evaluated.emit(event)
            case HealthMeasured(step, model, values, score):
                self.health.add([reading(step, values, score, is_source=model is Model.SOURCE)])
            case PreviewReady():
                self.previews.add(event)
            case CheckpointSaved(step, path):
                self._mark(Mark(step, "checkpoint", self.tr("Checkpoint {0}").format(path.name)))
                self.message.emit(self.tr("Saved {0}").format(path.name))
                self.refresh_runs()
            case Warned():
                self.warned.emit(event)
            case SettingsChanged(step, changes):
                text = ", ".join(f"{name} = {value}" for name, value in changes.items())
                self._mark(Mark(step, "change", text))
                self.message.emit(self.tr("Changed {0}").format(text))
            case Paused(step):
                self._mark(Mark(step, "pause", self.tr("Paused")))
                if self.state is not RunState.STOPPING:
                    self._set_state(RunState.PAUSED)
                self.message.emit(self.tr("Paused after step {0}").format(step))
            case Resumed(step):
                if self.state is not RunState.STOPPING:
                    self._set_state(RunState.RUNNING)
                self.message.emit(self.tr("Going on from step {0}").format(step))
            case Finished():
                self.health.set_verdict(str(event.result.get("verdict") or ""))
                self.ended.emit(event)

    def _on_started(self, event: RunStarted) -> None:
        if event.first_step:
            old = [row for row in self._old_rows if _has_step(row) and int(row["step"]) <= event.first_step]
            self._add_rows(old, event.source_steps)
        self.started.emit(event)
        if self.state is RunState.PREPARING:
            self._set_state(RunState.RUNNING)
        self.message.emit(self.tr("Training on {0}: {1}").format(event.device, event.device_reason))

    def _mark(self, mark: Mark) -> None:
        for curves in (self.losses, self.quality, self.health.curves):
            curves.mark(mark)

    def _send_changes(self, config: RunConfig) -> None:
        """Pass what changed since the last time to the engine; undo is another change."""
        if self._worker is None or not self.state.active:
            return
        changes = {
            s.path: settings.get(config, s.path)
            for s in settings.settings()
            if s.live and settings.get(config, s.path) != settings.get(self._sent, s.path)
        }
        self._sent = config
        if changes:
            self._worker.control.change(changes)

    def _clear(self) -> None:
        self.losses.clear()
        self.quality.clear()
        self.health.clear()
        self.previews.clear()
        self.run_shown.emit(None)

    def _set_state(self, state: RunState) -> None:
        if state is not self.state:
            log.info("run: %s -> %s", self.state, state)
            self.state = state
            self.state_changed.emit(state)


def _has_step(row: dict[str, str]) -> bool:
    return row.get("step", "").isdecimal()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
