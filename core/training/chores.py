"""What is due between two steps of a training: logging, previews, measurements, checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator

from core.errors import RunError
from core.events import Event, Phase, PreviewReady, StepDone
from core.runs.previews import Preview
from core.training.device import memory_gib
from core.training.interruption import InterruptedByStop, Stopping, interruptible
from core.training.judging import Judge
from core.training.meter import Chore, Meter
from core.training.preview import PreviewFrames, choose_frames
from core.training.record import RunRecord
from core.training.session import Session

logger = logging.getLogger(__name__)


class Chores:
    """Do what is due, write it into the record, and yield events about it.

    A stop interrupts previews and measurements; a checkpoint is always completed.
    """

    def __init__(self, session: Session, record: RunRecord, meter: Meter, stopping: Stopping) -> None:
        self._session = session
        self._record = record
        self._meter = meter
        self._stopping = stopping
        self._judge = Judge(session, stopping)
        self._frames = PreviewFrames(
            choose_frames(session.listing),
            session.listing.space.palette,
            session.config.training.seed,
            session.compute.device,
        )

    def begin(self) -> Iterator[Event]:
        """Make the measurement that a stop interrupted in the last session."""
        yield from self.warnings()
        if self.owes_measurement():
            yield from self.measure()

    def owes_measurement(self) -> bool:
        """Return whether the measurement that was due at the step the session was resumed from is missing."""
        measured = self._session.stored.get("measured", self._session.step)  # early versions always measured first
        return self._measurement_is_due() and measured != self._session.step

    def after_step(self) -> Iterator[Event]:
        """Do everything that is due after a step."""
        session, training = self._session, self._session.config.training
        if session.step % training.log_interval == 0 or session.at_end or session.adapt_step == 0:
            yield self._log()
        yield from self.warnings()
        if training.preview_interval and (session.step % training.preview_interval == 0 or session.at_end):
            yield from self._preview()
        if self._measurement_is_due():
            yield from self.measure()
        yield from self._record.write_row(session.step)
        if session.step % training.checkpoint_interval == 0 and not session.at_end and session.adapt_step != 0:
            yield from self.save()

    def end_source_phase(self) -> Iterator[Event]:
        """Keep the source-only model, measure it, and make the teacher."""
        yield from self.save()
        measured = yield from self.measure(source=True)
        if measured and self._session.config.training.steps:
            self._session.begin_adaptation()

    def warnings(self) -> Iterator[Event]:
        """Pass on what the reading threads and the session have to report."""
        while self._session.warnings:
            yield self._session.warnings.popleft()

    def _log(self) -> Event:
        session, training = self._session, self._session.config.training
        phase = Phase.SOURCE if session.step <= training.source_steps else Phase.ADAPT
        losses, left_out = self._meter.read(session.group.mean)
        if left_out:
            raise RunError(
                f"The loss was not a finite number in {left_out} of the last steps (up to step {session.step}); no weight moved "
                "in them. Lower training.learning_rate and resume, or start a new run with training.precision fp32."
            )
        seconds = self._meter.lap(phase)
        images = training.batch_size + (training.target_batch if phase is Phase.ADAPT else 0)
        done = StepDone(
            step=session.step,
            phase=phase,
            losses=losses,
            learning_rate=session.learning_rate,
            seconds_per_step=seconds,
            images_per_second=images / seconds,
            seconds_left=self._meter.seconds_left(training, session.step),
            memory_gib=memory_gib(session.compute.device),
        )
        self._record.log(done)
        return done

    def _preview(self) -> Iterator[Event]:
        session = self._session
        if not session.group.is_main:
            return
        with self._meter.doing(Chore.PREVIEW):
            try:
                with interruptible(list(session.models().values()), self._stopping):
                    pictures = self._frames.pictures(
                        session.student,
                        session.teacher,
                        session.config.mask,
                        session.config.training.teacher_target_share,
                    )
            except InterruptedByStop:
                return
            self._record.preview(Preview(session.step, self._frames.names, pictures))
        yield PreviewReady(session.step, pictures, self._frames.names)

    def _measurement_is_due(self) -> bool:
        interval, step = self._session.config.training.evaluation_interval, self._session.adapt_step
        return bool(interval) and step > 0 and step % interval == 0 and not self._session.at_end

    def measure(self, *, source: bool = False) -> Generator[Event, None, bool]:
        """Measure the models, and keep a checkpoint of the best. Return False if a stop interrupted it."""
        with self._meter.doing(Chore.MEASUREMENT):
            measurement = yield from self._judge.measure(self._record.source_health(), source=source)
            if measurement is None:
                return False
            better = self._record.is_better(measurement)
            yield from self._record.keep(measurement)
        if better:
            yield from self.save(measurement.worth)
        return True

    def save(self, worth: float | None = None) -> Iterator[Event]:
        """Save a checkpoint, unless there is one of this step; with its worth, it becomes the best one."""
        if self._record.saved_step == self._session.step:  # not measured: it is not what a checkpoint costs
            yield from self._record.save(self._session.snapshot(), worth)
            return
        with self._meter.doing(Chore.CHECKPOINT):
            yield from self._session.estimate_statistics()
            yield from self._record.save(self._session.snapshot(), worth)

    def save_quietly(self) -> None:
        """Save when an error ends the run. A failure to save is only logged: the error is what is reported."""
        try:
            for event in self.save():
                logger.info("%s", event)
        except RunError as error:
            logger.warning("the last state could not be saved: %s", error)
        except Exception:
            logger.exception("the last state could not be saved")
