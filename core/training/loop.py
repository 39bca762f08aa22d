"""`adapt`: a run as a generator of typed events. Knows no window; a caller iterates it in a thread of its own."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import PureWindowsPath
from typing import Any

import torch

from core.configuration.settings import with_changes
from core.control import RunControl
from core.errors import RunError
from core.events import (
    LOSS_NAMES,
    CheckpointSaved,
    Event,
    Finished,
    Model,
    Paused,
    Phase,
    PhaseStarted,
    Preparing,
    PreviewReady,
    Resumed,
    RunStarted,
    SettingsChanged,
    StepDone,
    Warned,
)
from core.loading.prefetch import Prefetcher
from core.loading.sampling import Batch
from core.memory import give_back_memory, is_out_of_memory
from core.runs.create import list_run
from core.runs.folder import FollowedRun, RunFolder
from core.training.checkpoint import CheckpointError
from core.training.device import memory_gib
from core.training.disk import check_space
from core.training.distributed import AGREE_EVERY_S, SOLO, Agreement, Group
from core.training.failures import in_words, refusal
from core.training.judging import COLUMNS_OF_A_ROW, Judge
from core.training.meter import Meter
from core.training.preview import Canary, choose_frames, save_pictures
from core.training.session import Session, versions

LOG = logging.getLogger(__name__)

STATUS_INTERVAL_S = 2.0  # status.json is flushed to the disk each time: not at every step
ENDED = ("finished", "stopped")
METRICS = (
    "step", "phase", *LOSS_NAMES, "learning_rate", "seconds_per_step", "images_per_second", "memory_gib",
    *COLUMNS_OF_A_ROW,
)  # fmt: skip


def adapt(control: RunControl, run: RunFolder, group: Group = SOLO) -> Iterator[Event]:
    """Train a run, or go on with it from its newest checkpoint.

    Args:
        control: pause, resume, stop and changes of settings; looked at once per step.
        run: made by `core.runs.create.create_run`.
        group: the processes that train together, each calling this; a stop or a pause in one holds for all.

    Yields:
        Events; the last is Finished. A stop leaves a checkpoint.

    Raises:
        RunError: the run cannot go on; status.json says why, and the newest checkpoint stands.
    """
    if not group.is_main:
        run = FollowedRun(run.path)
    with run.lock(), _log_file(run):
        finished = run.status()
        if finished.get("state") == "finished":
            yield Finished(finished["step"], stopped=False, result=_as_here(run, finished["result"]))
            return
        try:
            yield from _Loop(control, run, group).events()
        except GeneratorExit:  # closed early, or simply not asked again after the last event
            if run.status().get("state") not in ENDED:
                run.note_status(state="interrupted", reason="the program ended before the run did")
            raise
        except BaseException as error:
            sentence = in_words(error, run.config().training)
            run.note_status(state="failed", reason=sentence or f"{type(error).__name__}: {error}")
            if sentence is None or isinstance(error, RunError):
                raise
            raise RunError(sentence) from error


def _as_here(run: RunFolder, result: Mapping[str, Any]) -> dict[str, Any]:
    """A stored result with the paths of where the run lies now: it may have been moved since."""
    checkpoint = PureWindowsPath(result["checkpoint"]).name  # which also splits the paths of other systems
    return {**result, "run": str(run.path), "checkpoint": str(run.checkpoints_path / checkpoint)}


@contextmanager
def _log_file(run: RunFolder) -> Iterator[None]:
    """What the engine logs goes to the run's log.txt as well."""
    handler = logging.FileHandler(run.log_path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("core")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        with suppress(OSError):
            handler.close()


class _Loop:
    def __init__(self, control: RunControl, run: RunFolder, group: Group) -> None:
        self.control = control
        self.run = run
        self.group = group
        self.agreement = Agreement(group)
        self.meter = Meter()
        self.row: dict[str, Any] = {}
        self.last_saved = -1
        self.status_written = float("-inf")
        self.stopping = False

    def events(self) -> Iterator[Event]:
        yield Preparing("listing the images")
        listing = list_run(self.run)
        config = self.run.config()
        if not listing.matches(config.data_fingerprint):
            yield Warned(
                "data_changed", "The images are not those the run was started with; it goes on with what is there now."
            )
        for problem in listing.warnings:
            yield Warned(problem.code, problem.message, problem.paths[0] if problem.paths else None)

        if config.data.rare_class_sampling:
            yield Preparing(f"counting the classes in {len(listing.source)} source labels")
        resume_from = next(reversed(self.run.checkpoints()), None)
        yield Preparing(
            "building the network" if resume_from is None else f"loading checkpoint {resume_from.path.name}"
        )
        self.replay = [(step, changes) for step, changes in self.run.changes()]
        first = resume_from.step if resume_from else 0
        config_then = self.run.config_at(first - 1)
        self.session = session = Session(config_then, self.run, listing, resume_from, self.group)
        self.last_saved = first if resume_from else -1
        if session.network.matched:
            yield Preparing(session.network.matched)
        self.replay = [(step, changes) for step, changes in self.replay if step >= first]
        if self.group.is_main:
            check_space(self.run.checkpoints_path, session.network, config.training)
        self.judge = Judge(session, self.run)
        self.canary = Canary(
            choose_frames(listing), listing.space.palette, config.training.seed, session.compute.device
        )
        at_end = first == config.training.total_steps
        at_source_end = first == config.training.source_steps and session.teacher is None
        self.metrics = self.run.open_metrics(
            METRICS, first, judged_again=resume_from is not None and (at_end or at_source_end)
        )
        self.run.write_status(
            state="running", step=first, total_steps=config.training.total_steps, reason="",
            device=session.compute.device, device_reason=session.compute.reason, versions=versions(),
        )  # fmt: skip
        if session.best_checkpoint:
            self.run.note_status(best_checkpoint=session.best_checkpoint)
        try:
            yield RunStarted(
                self.run.path, config.training.source_steps, config.training.total_steps, first,
                session.compute.device, session.compute.reason, listing.space.classes, listing.space.palette,
            )  # fmt: skip
            yield from self._train(first)
        except Exception:
            self._save_quietly()  # what was earned since the last checkpoint
            raise
        finally:
            with suppress(OSError):  # a full disk, once more: reported when the row was written
                self.metrics.close()
            del self.session, self.judge, session
            give_back_memory()
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()

    def _train(self, first: int) -> Iterator[Event]:
        session, total = self.session, self.session.config.training.total_steps
        phase: Phase | None = None
        with Prefetcher(session.make_batch, range(first, total), session.loader_threads) as batches:
            while True:
                if session.step == session.config.training.source_steps and session.teacher is None:
                    yield from self._end_source_phase()
                if session.step >= total:
                    break
                if session.phase is not phase:
                    phase = session.phase
                    self.meter.restart()
                    yield PhaseStarted(phase, session.step)
                yield from self._obey()
                if self.stopping:
                    break
                self._step(next(batches))
                yield from self._after_step()
        yield from self._finish(stopped=session.step < total)

    def _step(self, batch: Batch) -> None:
        try:
            losses, bad = self.session.train_step(batch)
        except Exception as error:
            traceback.clear_frames(error.__traceback__)  # they hold the step's activations, and memory may be short
            self.session.guard.undo()
            if is_out_of_memory(error) and torch.cuda.is_initialized():
                torch.cuda.empty_cache()
            raise
        self.meter.losses.append(losses)
        self.meter.left_out.append(bad)

    # Control -----------------------------------------------------------------------------------

    def _obey(self) -> Iterator[Event]:
        """Apply changes that are due, then hold while paused."""
        while self.replay and self.replay[0][0] <= self.session.step:
            changes = self.replay.pop(0)[1]
            self._set(changes)
            yield SettingsChanged(self.session.step, changes)
        wanted = self.control.stopping, self.control.paused, self.control.changing
        self.stopping, paused, changing = self.agreement.ask(self.session.step, *wanted)
        if changing:
            yield from self._take_changes()
        if paused and not self.stopping:
            paused_at = time.perf_counter()
            self.run.note_status(state="paused", step=self.session.step)
            yield Paused(self.session.step)
            self._wait_while_paused()
            self.run.note_status(state="running")
            yield Resumed(self.session.step)
            self.meter.aside += time.perf_counter() - paused_at
            yield from self._take_changes()

    def _wait_while_paused(self) -> None:
        paused = True
        while paused and not self.stopping:
            self.control.wait_while_paused(AGREE_EVERY_S if self.group.share.world > 1 else None)
            self.stopping, paused = self.group.any(self.control.stopping, self.control.paused)

    def _take_changes(self) -> Iterator[Event]:
        """Make the queued changes that the main process accepts and has written down, in all processes."""
        config, made = self.session.config, []
        while (changes := self.control.next_changes()) is not None:
            if not self.group.is_main:
                continue  # its own queue is a copy of the main process's
            if reason := refusal(config, changes):
                yield Warned("change_refused", reason)
                continue
            try:
                self.run.append_change(self.session.step, changes)
            except OSError as error:
                words = f"{self.run.changes_path} could not be written: {error.strerror or error}."
                yield Warned("disk", f"{words} The change was not made. Free some space and make it again.")
                continue
            config = with_changes(config, changes)
            made.append(dict(changes))
        for changes in self.group.from_main(made):
            self.replay.clear()  # of a stretch that was lost: a new course is taken here (RunFolder.changes)
            self._set(changes)
            yield SettingsChanged(self.session.step, changes)

    def _set(self, changes: Mapping[str, Any]) -> None:
        self.session.config = with_changes(self.session.config, changes)

    # After each step ---------------------------------------------------------------------------

    def _after_step(self) -> Iterator[Event]:
        session, training = self.session, self.session.config.training
        step, adapt_step = session.step, session.step - training.source_steps
        is_last = step == training.total_steps
        if step % training.log_interval == 0 or is_last or adapt_step == 0:
            yield self._log()
        aside = time.perf_counter()
        while session.warnings:
            yield session.warnings.popleft()
        if training.preview_interval and (step % training.preview_interval == 0 or is_last):
            yield from self._preview()
        due = training.evaluation_interval and adapt_step > 0 and adapt_step % training.evaluation_interval == 0
        if due and not is_last:
            yield from self._judge()
        if self.row:  # before the checkpoint: a resume removes the rows after it, and repeats none before it
            self._write_row()
        if step % training.checkpoint_interval == 0 and not is_last and adapt_step != 0:
            yield from self._save()
        self.meter.aside += time.perf_counter() - aside

    def _log(self) -> Event:
        session, training = self.session, self.session.config.training
        last_phase = Phase.SOURCE if session.step <= training.source_steps else Phase.ADAPT
        losses, left_out = self.meter.read(self.group.mean)
        if left_out:
            self._save_quietly()
            raise RunError(
                f"The loss was not a finite number in {left_out} of the last steps (up to step {session.step}); no weight moved "
                "in them. Lower training.learning_rate and resume, or start a new run with training.precision fp32."
            )
        seconds = self.meter.lap(last_phase)
        cameras = 1 if last_phase is Phase.SOURCE else 2
        done = StepDone(
            step=session.step,
            phase=last_phase,
            losses=losses,
            learning_rate=session.learning_rate,
            seconds_per_step=seconds,
            images_per_second=cameras * training.batch_size / seconds,
            seconds_left=self.meter.seconds_left(training, session.step),
            memory_gib=memory_gib(session.compute.device),
        )
        flat = asdict(done)
        self.row.update(
            {**flat.pop("losses"), **{k: v for k, v in flat.items() if k in METRICS}, "phase": last_phase.value}
        )
        return done

    def _write_row(self) -> None:
        self.row["step"] = self.session.step
        try:
            self.metrics.append(self.row)
            if time.monotonic() - self.status_written > STATUS_INTERVAL_S:
                self.run.write_status(step=self.session.step)
                self.status_written = time.monotonic()
        except OSError as error:
            LOG.warning("metrics.csv could not be written: %s", error)
            self.session.warnings.append(
                Warned(
                    "disk", f"{self.run.metrics_path} could not be written: {error.strerror or error}. Free some space."
                )
            )
        self.row = {}

    def _preview(self) -> Iterator[Event]:
        if not self.group.is_main:
            return
        session = self.session
        teacher = session.teacher.network if session.teacher else None
        frames = self.canary.pictures(session.student, teacher, session.config.mask)  # type: ignore[arg-type]
        try:
            save_pictures(frames, self.run.previews_path / f"{session.step:06d}.png")
        except OSError as error:
            LOG.warning("the preview could not be written: %s", error)
        yield PreviewReady(session.step, frames, tuple(frame.name for frame in self.canary.frames))

    def _judge(self, *, source: bool = False) -> Iterator[Event]:
        """Measure the models, and mark the best checkpoint."""
        yield from self.judge.measure(source=source)
        self.row |= self.judge.row
        self.judge.row = {}
        if self.row:
            self._write_row()
        if self.judge.improved:
            yield from self._save_best()

    def _save_best(self) -> Iterator[Event]:
        """The state holds what is best, so that a run killed before status.json says it still knows."""
        session = self.session
        before = session.best, session.best_checkpoint
        session.best, session.best_checkpoint = self.judge.worth, session.checkpoint_path().name
        yield from self._save()
        if self.last_saved != session.step:  # not written: another one may still become the best
            session.best, session.best_checkpoint = before
            return
        self.run.note_status(best_checkpoint=session.best_checkpoint)
        session.prune()  # of what was the best before

    # Checkpoints and the ends ------------------------------------------------------------------

    def _end_source_phase(self) -> Iterator[Event]:
        """Keep the source-only model, measure it, and make the teacher."""
        session = self.session
        aside = time.perf_counter()
        yield from self._save()
        yield from self._judge(source=True)
        if self.row:
            self._write_row()
        if session.config.training.steps:
            session.begin_adaptation()
        self.meter.aside += time.perf_counter() - aside

    def _save(self) -> Iterator[Event]:
        if self.session.step == self.last_saved:
            return
        try:
            path, seconds = self.session.save()
        except CheckpointError as error:
            yield Warned(
                "checkpoint", f"{error} Training goes on, and the last good checkpoint stands. Free some space."
            )
            return
        self.last_saved = self.session.step
        self.run.note_status(step=self.session.step, last_checkpoint=path.name)
        yield CheckpointSaved(self.session.step, path, seconds)
        self.session.prune()

    def _save_quietly(self) -> None:
        """Where the run ends by an error: that one is told, not what comes of trying to save."""
        try:
            for event in self._save():
                LOG.info("%s", event)
        except Exception:
            LOG.exception("the last state could not be saved")

    def _finish(self, *, stopped: bool) -> Iterator[Event]:
        session = self.session
        if not stopped:
            yield from self._save()  # first: an evaluation that fails must not cost the last steps
            yield from self._judge()
            if self.row:
                self._write_row()
            while session.warnings:
                yield session.warnings.popleft()
        yield from self._save()
        self.group.wait()
        if self.last_saved != session.step:
            raise RunError(
                f"The run's last state (step {session.step}) could not be saved. Free some space and resume it."
            )
        result = self._result()
        self.run.write_status(state="stopped" if stopped else "finished", step=session.step, result=result, reason="")
        yield Finished(session.step, stopped=stopped, result=result)

    def _result(self) -> dict[str, Any]:
        scores = self.run.status().get("scores", {})
        newest = self.run.checkpoints()[-1]
        seconds = self.meter.seconds
        return {
            "run": str(self.run.path),
            "steps": self.session.step,
            "seconds_per_step": seconds.get(Phase.ADAPT, seconds.get(Phase.SOURCE)),
            "checkpoint": str(newest.path),
            "best_checkpoint": self.run.status().get("best_checkpoint"),
            "verdict": self.judge.verdict(),
            "source_only": scores.get(Model.SOURCE.value),
            "student": scores.get(Model.STUDENT.value),
            "teacher": scores.get(Model.TEACHER.value),
        }
