"""Train a run as a generator of typed events. It knows no window; a caller iterates it in a thread of its own."""

from __future__ import annotations

import traceback
from collections.abc import Generator, Iterator

import torch

from core.configuration.training import TrainingConfig
from core.control import RunControl
from core.errors import RunError
from core.events import Event, Phase, PhaseStarted, RunStarted, Warned
from core.loading.prefetch import Prefetcher
from core.loading.sampling import Batch, LoadingStopped
from core.memory import give_back_memory, is_out_of_memory
from core.runs.folder import FollowedRun, RunFolder
from core.runs.log import logged_to
from core.training.chores import Chores
from core.training.distributed import SOLO, Group
from core.training.failures import in_words
from core.training.meter import Chore, Meter
from core.training.preparing import prepare
from core.training.record import RunRecord
from core.training.session import Session, versions
from core.training.steering import Steering

LOOK_S = 0.25  # between two looks at the stop while a batch is waited for


def adapt(control: RunControl, run: RunFolder, group: Group = SOLO) -> Iterator[Event]:
    """Train a run, or continue it from its newest checkpoint.

    Args:
        control: pause, resume, stop and changes of settings; looked at once per step.
        run: made by `core.runs.create.create_run`.
        group: the processes that train together, each calling this; a stop or a pause in one holds for all.

    Yields:
        Events; the last is Finished. A stop leaves a checkpoint.

    Raises:
        RunError: the run cannot continue; status.json says why, and the newest checkpoint stands.
    """
    if not group.is_main:
        run = FollowedRun(run.path)
    with run.lock() as weakness, logged_to(run.log_path):
        if weakness:
            yield Warned("lock", weakness)
        record = RunRecord(run)
        yield from record.repair()
        if (ended := record.finished()) is not None:
            yield ended
            return
        training = run.config().training
        try:
            yield from _train(control, record, group)
        except BaseException as error:
            traceback.clear_frames(error.__traceback__)  # they hold the networks
            sentence = _note_end(error, record, training)
            if sentence is None or isinstance(error, RunError):
                raise
            raise RunError(sentence) from error
        finally:
            record.close()
            give_back_memory()
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()


def _note_end(error: BaseException, record: RunRecord, training: TrainingConfig) -> str | None:
    """Write into the status why the run has ended. Return the sentence for a known failure."""
    if isinstance(error, GeneratorExit):  # closed early, or simply not asked again after the last event
        record.interrupted()
        return None
    sentence = in_words(error, training)
    record.failed(sentence or f"{type(error).__name__}: {error}")
    return sentence


def _train(control: RunControl, record: RunRecord, group: Group) -> Iterator[Event]:
    session = yield from prepare(record, group, lambda: control.stopping)
    if session is None:
        yield record.stopped_before_it_began()
        return
    loop = _Loop(session, record, Steering(control, record, session))
    yield from loop.begin()
    try:
        yield from loop.events()
    except Exception:
        loop.chores.save_quietly()  # what was earned since the last checkpoint
        raise


class _Loop:
    """Next batch, step, and what is due between two steps."""

    def __init__(self, session: Session, record: RunRecord, steering: Steering) -> None:
        self.session = session
        self.record = record
        self.steering = steering
        self.meter = Meter()
        self.chores = Chores(session, record, self.meter, steering.wants_to_stop)
        self.phase: Phase | None = None

    def events(self) -> Iterator[Event]:
        """Train to the end, or to a stop."""
        session = self.session
        yield from self.chores.begin()
        numbers = range(session.step, session.config.training.total_steps)
        with Prefetcher(session.make_batch, numbers, session.loader_threads) as batches:
            while (yield from self._goes_on()):
                batch = yield from self._next(batches)
                if batch is None:
                    break
                self._step(batch)
                yield from self.chores.after_step()
        yield from self._finish()

    def begin(self) -> Iterator[Event]:
        """Open the record, after a check that a checkpoint can be written."""
        session, training = self.session, self.session.config.training
        self.record.check_space(session.network, training)
        again = session.at_end or session.at_source_end or self.chores.owes_measurement()
        self.record.open(
            session.step, session.stored, measured_again=again,
            total_steps=training.total_steps, device=session.compute.device, device_reason=session.compute.reason,
            versions=versions(),
        )  # fmt: skip
        yield RunStarted(
            self.record.run.path, training.source_steps, training.total_steps, session.step, session.compute.device,
            session.compute.reason, session.listing.space.classes, session.listing.space.palette,
        )  # fmt: skip

    def _goes_on(self) -> Generator[Event, None, bool]:
        """Do what comes before a step. Return whether there is one."""
        if self.session.at_source_end:
            yield from self.chores.end_source_phase()
        if self.session.at_end:
            return False
        if self.session.phase is not self.phase:
            self.phase = self.session.phase
            self.meter.restart()
            yield PhaseStarted(self.phase, self.session.step)
        with self.meter.doing(Chore.STEERING):
            yield from self.steering.obey()
        return not self.steering.stopping

    def _next(self, batches: Prefetcher[int, Batch]) -> Generator[Event, None, Batch | None]:
        """Wait for the batch, and yield what the reading threads report; None if a stop comes first."""
        while not batches.ready(LOOK_S):
            yield from self.chores.warnings()
            if self.session.group.share.world == 1 and self.steering.wants_to_stop():
                return None
        try:
            return next(batches)
        except LoadingStopped:
            return None

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

    def _finish(self) -> Iterator[Event]:
        stopped = not self.session.at_end
        yield from self.chores.save()  # first: an evaluation that fails must not cost the last steps
        keeps_best = stopped and self.session.adapt_step > 0 and self.steering.keeps_best
        if not stopped or keeps_best:
            stopped = not (yield from self.chores.measure()) or stopped
            yield from self.chores.warnings()
            yield from self.chores.save()
        self.session.group.wait()
        costs = self.meter.step_cost
        yield self.record.finish(
            self.session.step,
            stopped=stopped,
            keeps_best=keeps_best,
            seconds_per_step=costs.get(Phase.ADAPT, costs.get(Phase.SOURCE)),
        )
