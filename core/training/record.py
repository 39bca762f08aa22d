"""Write a run while it trains: nothing else in the engine does."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path, PureWindowsPath
from typing import Any

from torch import nn

from core.configuration.training import TrainingConfig
from core.errors import RunError
from core.evaluation.choice import Best, is_better, verdict
from core.evaluation.health import Health
from core.events import LOSS_NAMES, CheckpointSaved, Event, Finished, Model, StepDone, Warned
from core.files import set_aside
from core.runs.folder import CheckpointRef, MetricsWriter, RunFolder
from core.runs.previews import Preview, delete_previews_after, thin_previews, write_preview
from core.runs.repair import repair
from core.training.checkpoint import CheckpointError, Snapshot, save_checkpoint
from core.training.disk import check_space
from core.training.measurement import COLUMNS_OF_A_ROW, Measurement, health_from_json, health_to_json
from core.training.storage import check_writable, prune

logger = logging.getLogger(__name__)

STATUS_INTERVAL_S = 2.0  # status.json is flushed to the disk each time: not at every step
ENDED = ("finished", "stopped")
METRICS = (
    "step", "phase", *LOSS_NAMES, "learning_rate", "seconds_per_step", "images_per_second", "memory_gib",
    *COLUMNS_OF_A_ROW,
)  # fmt: skip


class RunRecord:
    """Write a run's metrics, status, previews and checkpoints, and decide which checkpoints stay.

    What a full disk refuses costs no training: the methods return warnings. They raise RunError where going on is no use: no
    checkpoint was ever written, or the run's folder is gone.

    In a process that trains along without writing (`FollowedRun`) it keeps the same books and touches no file.

    Attributes:
        best: the best checkpoint so far (`core.evaluation.choice`).
        saved_step: of the newest checkpoint; -1 without one.
        measured_step: of the last measurement; -1 without one.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.best: Best | None = None
        self.saved_step = -1
        self.measured_step = -1
        self._status: dict[str, Any] = {}
        self._status_written_at = float("-inf")
        self._row: dict[str, Any] = {}
        self._row_failed = False
        self._metrics: MetricsWriter | None = None
        stored = run.status()
        self._scores: dict[str, Any] = stored.get("scores", {})
        self._health: dict[str, Any] = stored.get("health", {})

    # Beginning ---------------------------------------------------------------------------------

    def repair(self) -> list[Event]:
        """Set damaged files of the run aside, and say so."""
        return [Warned("damaged", sentence) for sentence in repair(self.run)] if self.run.is_writer else []

    def finished(self) -> Finished | None:
        """Return the last event of a run that has made all its steps; None for other runs."""
        stored = self.run.status()
        if stored.get("state") != "finished" or not {"step", "result"} <= stored.keys():
            return None
        # The run may have been moved since, from another system too.
        checkpoint = PureWindowsPath(str(stored["result"].get("checkpoint"))).name
        here = {"run": str(self.run.path), "checkpoint": str(self.run.checkpoints_path / checkpoint)}
        return Finished(stored["step"], stopped=False, result={**stored["result"], **here})

    def set_aside(self, ref: CheckpointRef, reason: str) -> Event:
        """Rename a checkpoint that cannot be read, so that nothing takes it for the newest."""
        name = ref.path.name
        if self.run.is_writer:
            with suppress(OSError):
                name = set_aside(ref.path).name
        return Warned(
            "damaged", f"{reason} The run continues from the checkpoint before it. The damaged one is now {name}."
        )

    def open(self, step: int, state: Mapping[str, Any], *, measured_again: bool, **status: Any) -> None:
        """Begin to write at finished step `step`; rows and previews of later steps are removed.

        Args:
            state: content of the checkpoint's state.json; empty for a new run.
            measured_again: the measurement at `step` is made again, so that its row without losses is removed too.
            status: further values of status.json.

        Raises:
            RunError: the run's folder cannot be written.
        """
        self._restore(step, state)
        try:
            self._metrics = self.run.open_metrics(METRICS, step, judged_again=measured_again)
            self._status |= {"state": "running", "step": step, "reason": "", **status, **self._findings()}
            self.run.write_status(**self._status)
        except OSError as error:
            raise RunError(f"{self.run.path} cannot be written: {error.strerror or error}. Free some space.") from error
        if self.run.is_writer:
            delete_previews_after(self.run.previews_path, step)

    def _restore(self, step: int, state: Mapping[str, Any]) -> None:
        if not state:
            self._scores, self._health = {}, {}
            return
        self.saved_step = step
        self.measured_step = state.get("measured", step)  # early versions always measured before they saved
        if state.get("best_checkpoint") and isinstance(state.get("best"), int | float):
            self.best = Best(str(state["best_checkpoint"]), float(state["best"]))
        if isinstance(state.get("scores"), dict) and isinstance(state.get("health"), dict):  # else those of status.json
            self._scores, self._health = dict(state["scores"]), dict(state["health"])

    def check_space(self, network: nn.Module, training: TrainingConfig) -> None:
        """Raise RunError where the checkpoints cannot be written or do not fit, before any time is spent on training."""
        if self.run.is_writer:
            check_writable(self.run.checkpoints_path)
            check_space(self.run.checkpoints_path, network, training)

    # While it trains ---------------------------------------------------------------------------

    def source_health(self) -> Health | None:
        """Return the health of the source-only model; None until it has been measured."""
        return self._health_of(Model.SOURCE)

    def change(self, step: int, changes: Mapping[str, Any]) -> str:
        """Append changes of settings to changes.jsonl. Return why that failed; empty where it did not."""
        try:
            self.run.append_change(step, changes)
        except OSError as error:
            return f"{self.run.changes_path} could not be written: {error.strerror or error}."
        return ""

    def paused(self, step: int) -> None:
        self._note(state="paused", step=step)

    def resumed(self) -> None:
        self._note(state="running")

    def log(self, done: StepDone) -> None:
        """Take a step's figures into the row that `write_row` writes."""
        values = asdict(done)
        losses = values.pop("losses")
        self._row |= {**losses, **{name: v for name, v in values.items() if name in METRICS}, "phase": done.phase.value}

    def keep(self, measurement: Measurement) -> list[Event]:
        """Keep what a measurement has found, and write its row."""
        self.measured_step = measurement.step
        self._scores |= {model.value: scores.to_json() for model, scores in measurement.scores.items()}
        if measurement.health is not None:
            self._health[measurement.judged.value] = health_to_json(measurement.health)
        self._row |= measurement.row()
        self._note(**self._findings())
        return self.write_row(measurement.step)

    def is_better(self, measurement: Measurement) -> bool:
        """Return whether what was measured is the best so far."""
        return is_better(measurement.worth, self.best.worth if self.best else None)

    def write_row(self, step: int) -> list[Event]:
        """Append the row of this step to metrics.csv, if there is anything to write."""
        if not self._row or self._metrics is None:
            return []
        self._check_folder(step)
        row, self._row = {**self._row, "step": step}, {}
        failed, self._row_failed = self._row_failed, False
        try:
            self._metrics.append(row)
        except OSError as error:
            self._row_failed = True
            logger.warning("metrics.csv could not be written: %s", error)
            words = f"{self.run.metrics_path} could not be written: {error.strerror or error}. Free some space."
            return [] if failed else [Warned("disk", words)]
        if time.monotonic() - self._status_written_at > STATUS_INTERVAL_S:
            self._note(step=step)
        return []

    def preview(self, preview: Preview) -> None:
        """Write the pictures of the preview frames, and thin out the earlier ones."""
        if not self.run.is_writer:
            return
        try:
            write_preview(self.run.previews_path, preview)
        except OSError as error:
            logger.warning("the preview could not be written: %s", error)
        thin_previews(self.run.previews_path)

    # Checkpoints -------------------------------------------------------------------------------

    def save(self, snapshot: Snapshot, worth: float | None = None) -> list[Event]:
        """Write a checkpoint, unless there is one of this step, and delete those that are no longer needed.

        Args:
            worth: makes it the best checkpoint. Where it cannot be written, the best stays what it was.

        Raises:
            RunError: it cannot be written, and the run has no other checkpoint.
        """
        if self.saved_step == snapshot.step and worth is None:
            return []
        path = self._path_of(snapshot)
        best = self.best if worth is None else Best(path.name, worth)
        events: list[Event] = []
        if self.saved_step != snapshot.step:
            try:
                events.append(self._write(path, snapshot, best))
            except CheckpointError as error:
                return [Warned("checkpoint", self._words(error, snapshot.step))]
        self.best, self.saved_step = best, snapshot.step
        self._note(step=snapshot.step, last_checkpoint=path.name, best_checkpoint=best.checkpoint if best else None)
        if self.run.is_writer:
            prune(self.run, self.best)
        return events

    def _path_of(self, snapshot: Snapshot) -> Path:
        if snapshot.teacher is None:
            return self.run.checkpoint_path(snapshot.step, source=True)
        return self.run.checkpoint_path(snapshot.step - snapshot.source_steps)

    def _write(self, path: Path, snapshot: Snapshot, best: Best | None) -> Event:
        if not self.run.is_writer:
            return CheckpointSaved(snapshot.step, path, 0.0)
        self._check_folder(snapshot.step)
        if self._metrics is not None:
            with suppress(OSError):  # a full disk: reported with the row
                self._metrics.sync()  # a resume removes rows after the checkpoint, and repeats none before it
        started_at = time.perf_counter()
        state = {
            **snapshot.state, **self._findings(), "measured": self.measured_step,
            "best": best.worth if best else None, "best_checkpoint": best.checkpoint if best else None,
        }  # fmt: skip
        save_checkpoint(path, snapshot.student, snapshot.teacher, snapshot.optimizer, snapshot.card, state)
        return CheckpointSaved(snapshot.step, path, time.perf_counter() - started_at)

    def _words(self, error: CheckpointError, step: int) -> str:
        if self.saved_step < 0:
            raise RunError(
                f"{error} The run has no other checkpoint, so it ends at step {step}: it would train for nothing. "
                "Free some space and start it again."
            ) from error
        return f"{error} Training continues, and the last good checkpoint (step {self.saved_step}) stands. Free some space."

    # The end -----------------------------------------------------------------------------------

    def finish(self, step: int, *, stopped: bool, seconds_per_step: float | None, keeps_best: bool = False) -> Finished:
        """Write the last status and return the run's last event.

        Args:
            keeps_best: the best checkpoint is the one that was chosen.

        Raises:
            RunError: the last state is not on the disk.
        """
        if self.saved_step != step:
            raise RunError(f"The run's last state (step {step}) could not be saved. Free some space and resume it.")
        return self._end(step, stopped=stopped, seconds_per_step=seconds_per_step, keeps_best=keeps_best)

    def stopped_before_it_began(self) -> Finished:
        """Write the status of a run that was stopped while it was prepared: its newest checkpoint stands."""
        newest = next(reversed(self.run.checkpoints()), None)
        return self._end(newest.step if newest else 0, stopped=True, seconds_per_step=None)

    def _end(self, step: int, *, stopped: bool, seconds_per_step: float | None, keeps_best: bool = False) -> Finished:
        result = self._result(step, seconds_per_step)
        self._status |= {
            "state": "stopped" if stopped else "finished", "step": step, "result": result, "reason": "",
            "chosen_checkpoint": result["best_checkpoint"] if keeps_best else None,
        }  # fmt: skip
        try:
            self.run.write_status(**self._status)
        except OSError as error:
            raise RunError(
                f"The run has ended at step {step} and its checkpoint is saved, but {self.run.status_path} could not be "
                f"written: {error.strerror or error}. Free some space and resume the run."
            ) from error
        return Finished(step, stopped=stopped, result=result)

    def interrupted(self) -> None:
        """Note that the program ended before the run did; without effect on one that has ended."""
        if self._status.get("state") not in ENDED:
            self._note(state="interrupted", reason="the program ended before the run did")

    def failed(self, reason: str) -> None:
        self._note(state="failed", reason=reason)

    def close(self) -> None:
        if self._metrics is not None:
            with suppress(OSError):  # a full disk: reported when the row was written
                self._metrics.close()

    def _result(self, step: int, seconds_per_step: float | None) -> dict[str, Any]:
        checkpoints = self.run.checkpoints()
        source, teacher = self._health_of(Model.SOURCE), self._health_of(Model.TEACHER)
        return {
            "run": str(self.run.path),
            "steps": step,
            "seconds_per_step": seconds_per_step,
            "checkpoint": str(checkpoints[-1].path) if checkpoints else None,
            "best_checkpoint": self.best.checkpoint if self.best else None,
            "verdict": verdict(source, teacher) if source and teacher else "",
            "source_only": self._scores.get(Model.SOURCE.value),
            "student": self._scores.get(Model.STUDENT.value),
            "teacher": self._scores.get(Model.TEACHER.value),
        }

    # Books -------------------------------------------------------------------------------------

    def _health_of(self, model: Model) -> Health | None:
        values = self._health.get(model.value)
        return health_from_json(values) if isinstance(values, dict) else None

    def _findings(self) -> dict[str, Any]:
        return {"scores": dict(self._scores), "health": dict(self._health)}

    def _note(self, **values: Any) -> None:
        """Change the status. What a full disk refuses is written with the next change."""
        self._status |= values
        try:
            self.run.write_status(**self._status)
            self._status_written_at = time.monotonic()
        except OSError as error:
            logger.warning("%s could not be written: %s", self.run.status_path, error)

    def _check_folder(self, step: int) -> None:
        if self.run.is_writer and not self.run.config_path.exists():
            raise RunError(
                f"The run folder {self.run.path} no longer exists: it was deleted or moved, or its drive is unavailable. The "
                f"run ends at step {step}. If the folder comes back, resume the run from its newest checkpoint."
            )
