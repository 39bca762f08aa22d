"""The transitions of a run, between the window and the thread that trains."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QStandardPaths, QTimer, Signal

from core.configuration import settings
from core.configuration.config import RunConfig
from core.events import (
    CheckpointSaved,
    Estimate,
    Event,
    Finished,
    Measuring,
    Paused,
    Preparing,
    Resumed,
    RunStarted,
    SettingsChanged,
    StepDone,
    Warned,
)
from core.runs.create import create_run, discard_unstarted, new_run_path, why_not_a_name
from core.runs.folder import RunFolder
from core.runs.notes import Notes, write_notes
from masktwins_gui.models.comparison import Comparison
from masktwins_gui.models.differences import SEED, values_in_words
from masktwins_gui.models.history import RunHistory
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.run_loader import RunLoader, read_run_files
from masktwins_gui.models.runs import RunsModel
from masktwins_gui.models.shown_run import ShownRun
from masktwins_gui.models.states import RunState
from masktwins_gui.models.stored_previews import read_preview
from masktwins_gui.workers.inference import InferenceWorker
from masktwins_gui.workers.jobs import JobPool
from masktwins_gui.workers.training import Engine, Mailbox, Measure, TrainingWorker, load_engine, load_measure

log = logging.getLogger(__name__)

DRAIN_MS = 100
TEMPORARY = QStandardPaths.StandardLocation.TempLocation
REFUSED = ("change_refused", "disk")  # warnings that may answer a change instead of SettingsChanged


@dataclass(frozen=True)
class Planned:
    """A run that is to start once the one before it has finished."""

    name: str
    config: RunConfig
    label: str


class Controller(QObject):
    """Starts, steers and ends a run or a measurement; turns its events into models and signals. GUI thread only."""

    state_changed = Signal(object)  # RunState
    message = Signal(str)  # one line about what is happening
    measuring = Signal(object)  # Measuring: what the run does between two steps, where it takes a while
    warned = Signal(object)  # Warned
    started = Signal(object)  # RunStarted
    stepped = Signal(object)  # StepDone, the newest of a drain
    measured = Signal(object)  # Estimate
    ended = Signal(object)  # Finished
    repeated = Signal(object)  # paths of the runs that differ by their seed, once all have finished
    failed = Signal(str, str)  # what happened to the run, details
    measure_failed = Signal(str, str)
    closed = Signal()  # after `close`: every other thread has ended

    def __init__(
        self,
        project: ProjectModel,
        engine: Engine | None = None,
        parent: QObject | None = None,
        *,
        measure: Measure | None = None,
    ) -> None:
        super().__init__(parent)
        self.project = project
        self.state = RunState.IDLE
        self.jobs = JobPool(parent=self)
        self.inference = InferenceWorker(self)
        self.runs = RunsModel(self)
        self.shown = ShownRun(self.jobs, read_preview, self)
        self.comparison = Comparison(self.runs, self.shown, self.jobs, self)
        self.loader = RunLoader(project, self.runs, self.shown, self.jobs, lambda: self.trains, self)
        self.run_path: Path | None = None
        self._engine, self._measure = engine, measure
        self._worker: TrainingWorker | None = None
        self._measures = False  # the worker measures, and trains no run
        self._planned: deque[Planned] = deque()
        self._repeated: list[Path] = []
        self._history: tuple[RunHistory, tuple[int, ...]] | None = None  # of a run that is resumed
        self._mailbox = Mailbox()
        self._sent: RunConfig = project.config
        self._awaited: deque[dict[str, Any]] = deque()  # changes that the engine has not answered yet
        self._timer = QTimer(self)
        self._timer.setInterval(DRAIN_MS)
        self._timer.timeout.connect(self._drain)
        self._closing = False
        self.jobs.idle.connect(self._on_thread_end)
        self.inference.finished.connect(self._on_thread_end)
        self.state_changed.connect(lambda state: self.inference.set_yielding(state.active))
        project.changed.connect(self._send_changes)
        self.loader.failed.connect(self.message)

    # Verbs -------------------------------------------------------------------------------------

    def start(self, name: str = "run") -> None:
        """Train the project's configuration as a new run beside the project file."""
        if self._may_start(name):
            self._start(Planned(name, self.project.config, ""))

    def repeat(self, name: str, count: int) -> None:
        """Train the project's configuration several times, one run after the other, each with the next seed."""
        if not self._may_start(name):
            return
        config, self._repeated = self.project.config, []
        first = config.training.seed
        for seed in range(first, first + count):
            label = self.tr("{0}, seed {1}").format(name, seed)
            self._planned.append(Planned(name, settings.with_changes(config, {SEED: seed}), label))
        self._start(self._planned.popleft())

    def _may_start(self, name: str) -> bool:
        if self.state.active or self.project.folder is None:
            return False
        if why := why_not_a_name(name):
            self.failed.emit(why, "")
        return not why

    def resume_run(self, path: Path) -> None:
        """Go on with a run that ended before its last step; its curves and previews go on too."""
        if self.state.active:
            return
        self.shown.begin(path)
        smoothing = self.shown.losses.smoothing
        if (run := self.runs.find(path)) is not None:
            self.project.enter_run(run.config_now)

        def find() -> RunFolder:
            self._history = read_run_files(path, smoothing)  # taken after RunStarted has come
            return RunFolder(path)

        self._launch(path, find)

    def measure(self) -> None:
        """Make a few real steps of the project's configuration, to say what a run would need."""
        subject = self.project.config, self.project.folder or Path(QStandardPaths.writableLocation(TEMPORARY))
        if not self.state.active:
            worker = TrainingWorker(lambda: subject, self._renewed_mailbox(), self._load_measure, self)
            self._run(worker, RunState.MEASURING)

    def pause(self) -> None:
        if self._worker and self.state is RunState.RUNNING:
            self._worker.control.pause()
            self.message.emit(self.tr("Pausing after this step …"))

    def resume(self) -> None:
        if self._worker and self.state is RunState.PAUSED:
            self._worker.control.resume()

    def stop(self, *, keep_best: bool = False) -> None:
        """End cleanly, with a checkpoint; a measurement is cancelled.

        Args:
            keep_best: measure the present state too, and make the best checkpoint the run's result.
        """
        self._planned.clear()
        if self._worker is None or not self.state.active:
            return
        self._worker.control.stop(keep_best=keep_best)
        self._set_state(RunState.STOPPING)
        self.message.emit(self.tr("Cancelling …") if self._measures else self.tr("Stopping: saving a checkpoint …"))

    def close(self) -> None:
        """Tell the other threads to end; a run must have ended before. `closed` follows, unless they are `quiet` already."""
        self._closing = True
        self._timer.stop()
        self.jobs.close()
        self.inference.close()

    @property
    def quiet(self) -> bool:
        """Whether no other thread works."""
        return not self.jobs.busy and not self.inference.isRunning()

    def _on_thread_end(self) -> None:
        if self._closing and self.quiet:
            self.closed.emit()

    @property
    def measures(self) -> bool:
        """Whether the worker measures a configuration, and trains no run."""
        return self.state.active and self._measures

    @property
    def trains(self) -> bool:
        return self.state.active and not self._measures

    # The run's thread --------------------------------------------------------------------------

    def _start(self, planned: Planned) -> None:
        folder = self.project.folder
        assert folder is not None
        path = new_run_path(folder, planned.name)
        if planned.label:
            self._repeated.append(path)
        self.shown.begin(path)

        def make() -> RunFolder:
            run = create_run(planned.config, path, folder)
            if planned.label:
                write_notes(path, Notes(planned.label))
            return run

        self._launch(path, make, discard=discard_unstarted)

    def _load(self) -> Engine:
        return self._engine or load_engine()

    def _load_measure(self) -> Measure:
        return self._measure or load_measure()

    def _launch(
        self, path: Path, make_run: Callable[[], RunFolder], *, discard: Callable[[RunFolder], object] | None = None
    ) -> None:
        self.run_path, self._sent = path, self.project.config
        self._awaited.clear()
        self.project.hold_history(True)
        worker = TrainingWorker(make_run, self._renewed_mailbox(), self._load, self, discard=discard)
        self._run(worker, RunState.PREPARING)

    def _renewed_mailbox(self) -> Mailbox:
        """A box of its own for each worker: nothing of one run reaches the next."""
        self._mailbox = Mailbox()
        return self._mailbox

    def _run(self, worker: TrainingWorker, state: RunState) -> None:
        self._measures = state is RunState.MEASURING
        self._worker = worker
        worker.finished.connect(self._on_finished)
        self._set_state(state)
        self.message.emit(self.tr("Preparing …"))
        worker.start()
        self._timer.start()

    def _on_finished(self) -> None:
        self._timer.stop()
        self._drain()
        worker, self._worker = self._worker, None
        failure = worker.failure if worker else None
        if worker:
            worker.wait()  # finished is sent a moment before the thread is gone
            worker.deleteLater()
        self.project.hold_history(False)
        self.project.leave_run()
        self.loader.refresh()
        if failure is not None and self._measures:
            self._set_state(RunState.IDLE)
            self.measure_failed.emit(failure.message, failure.details)
        elif failure is not None:
            self._planned.clear()
            self.shown.filmstrip.clear()  # no stale overlays beside an error
            self._set_state(RunState.FAILED)
            self.failed.emit(failure.message, failure.details)
        elif self._planned:
            self._start(self._planned.popleft())
        else:
            self._set_state(RunState.IDLE)
            if len(self._repeated) > 1:
                self.repeated.emit(tuple(self._repeated))
            self._repeated = []

    def _drain(self) -> None:
        events = self._mailbox.take()
        for event in events:
            self._handle(event)  # a resumed run's old rows come in here, before the new ones
        steps = [event for event in events if isinstance(event, StepDone)]
        if steps:
            self.shown.add_steps(steps)
            self.stepped.emit(steps[-1])
        newest = next((event for event in reversed(events) if isinstance(event, StepDone | Measuring)), None)
        if isinstance(newest, Measuring):
            self.measuring.emit(newest)

    def _handle(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._on_started(event)
        self.shown.handle(event)
        match event:
            case Preparing(message):
                self.message.emit(message)
            case Estimate():
                self.measured.emit(event)
            case CheckpointSaved(path=path):
                self._say(self.tr("Saved {0}").format(path.name))
                self.loader.refresh()
            case Warned(code=code):
                if code in REFUSED and self._awaited:
                    self._awaited.popleft()
                place = f" ({event.path})" if event.path else ""
                self._say(f"▲ {event.message}{place}")
                self.warned.emit(event)
            case SettingsChanged(changes=changes):
                self._follow(changes)
                self._say(self.tr("Changed {0}").format(values_in_words(changes)))
            case Paused(step):
                if self.state is not RunState.STOPPING:
                    self._set_state(RunState.PAUSED)
                self._say(self.tr("Paused after step {0}").format(step))
            case Resumed(step):
                if self.state is not RunState.STOPPING:
                    self._set_state(RunState.RUNNING)
                self._say(self.tr("Going on from step {0}").format(step))
            case Finished():
                self.ended.emit(event)
            case _:
                pass

    def _say(self, text: str) -> None:
        """Say it now, and keep it among the run's messages."""
        self.shown.write(text)
        self.message.emit(text)

    def _on_started(self, event: RunStarted) -> None:
        if event.first_step and self._history is not None:
            self.shown.take(*self._history)
            self.shown.cut_after(event.first_step)
        self._history = None
        self.started.emit(event)
        if self.state is RunState.PREPARING:
            self._set_state(RunState.RUNNING)
        self._say(self.tr("Training on {0}: {1}").format(event.device, event.device_reason))

    def _send_changes(self, config: RunConfig) -> None:
        """Pass what changed since the last time to the engine; undo is another change."""
        if self._worker is None or not self.trains:
            return
        changes = {
            s.path: settings.get(config, s.path)
            for s in settings.settings()
            if s.live and settings.get(config, s.path) != settings.get(self._sent, s.path)
        }
        self._sent = config
        if changes:
            self._awaited.append(changes)
            self._worker.control.change(changes)

    def _follow(self, changes: Mapping[str, Any]) -> None:
        """Show a change that the engine makes by itself: a resumed run repeats those made after its checkpoint."""
        if self._awaited and self._awaited[0] == dict(changes):
            self._awaited.popleft()  # it was made in the window
            return
        self._sent = settings.with_changes(self._sent, changes)
        self.project.change(changes)

    def _set_state(self, state: RunState) -> None:
        if state is not self.state:
            log.info("run: %s -> %s", self.state, state)
            self.state = state
            self.state_changed.emit(state)
