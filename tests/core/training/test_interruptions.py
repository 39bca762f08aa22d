"""What goes wrong beside a run, at the worst moment, costs neither the run nor what it has earned."""

import weakref

import pytest
import torch

from core.configuration.choices import TeacherStatistics
from core.configuration.config import RunConfig
from core.configuration.settings import with_changes
from core.configuration.training import TrainingConfig
from core.control import RunControl
from core.errors import ConfigError, RunError
from core.events import (
    CheckpointSaved,
    Evaluated,
    Finished,
    Model,
    Phase,
    PhaseStarted,
    Scores,
    SettingsChanged,
    StepDone,
    Warned,
)
from core.method import step as method
from core.runs.folder import RunFolder
from core.training import judging, record, session, storage
from core.training.checkpoint import CheckpointError, save_checkpoint
from core.training.loop import adapt
from core.training.measurement import Measurement
from core.training.optim import StepGuard, build_optimizer, set_learning_rate
from core.training.session import Session
from tests.core.tiny import change_state, final_weights, train


def stop_at(run, step):
    control = RunControl()
    for event in adapt(control, run):
        if isinstance(event, StepDone) and event.step >= step:
            control.stop()
    return event


def test_two_losses_changed_at_once_within_a_log_interval(make_run):
    """{source, mix} before, {source, twins} after: Meter.read stacks rows of different lengths."""
    run = make_run(
        loss__twin_weight=0.0,
        loss__consistency_weight=0.0,
        training__log_interval=3,
        training__source_steps=2,
        training__evaluation_interval=0,
    )
    run.append_change(4, {"loss.mix_weight": 0.0, "loss.twin_weight": 1.0})
    assert isinstance(train(run)[-1], Finished)


def test_head_multiplier_can_be_changed_from_one():
    net = torch.nn.ModuleDict({"encoder": torch.nn.Linear(2, 2), "head": torch.nn.Linear(2, 2)})
    optimizer = build_optimizer(net, TrainingConfig(head_multiplier=1.0))
    set_learning_rate(optimizer, TrainingConfig(head_multiplier=10.0), 100)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert rates[id(net["head"].weight)] == pytest.approx(10 * rates[id(net["encoder"].weight)])


@pytest.mark.parametrize("what", ["scores", "health", "best_checkpoint", "last_checkpoint"])
def test_full_disk_at_a_status_write_does_not_end_the_run(make_run, monkeypatch, what):
    run = make_run()
    write = RunFolder.write_status
    calls = []

    def full(self, **values):
        if values.get(what) and not calls:
            calls.append(1)
            raise OSError(28, "No space left on device")
        write(self, **values)

    monkeypatch.setattr(RunFolder, "write_status", full)
    assert isinstance(train(run)[-1], Finished)


def test_empty_ratio_list_is_refused():
    with pytest.raises(ConfigError):
        with_changes(RunConfig(), {"mask.ratio": []})


def test_killed_between_checkpoint_and_row_loses_nothing(make_run):
    whole, run = make_run("whole"), make_run("run")
    train(whole)
    events = adapt(RunControl(), run)
    for event in events:
        if isinstance(event, CheckpointSaved) and event.step == 8:
            break
    events.close()
    train(run)

    def steps(run):
        return [(row["step"], bool(row["total"]), bool(row["teacher_miou"])) for row in run.metrics()]

    assert final_weights(run) == final_weights(whole)
    assert steps(run) == steps(whole)
    assert run.status()["best_checkpoint"] == whole.status()["best_checkpoint"]
    assert steps(run) == steps(whole)


def test_killed_after_source_row_gives_no_double_row(make_run):
    whole, run = make_run("whole"), make_run("run")
    train(whole)
    events = adapt(RunControl(), run)
    for event in events:
        if isinstance(event, PhaseStarted) and event.phase is Phase.ADAPT:
            break
    events.close()
    train(run)
    assert [row["step"] for row in run.metrics()] == [row["step"] for row in whole.metrics()]


def test_a_failing_last_evaluation_keeps_the_last_steps(make_run, monkeypatch):
    run = make_run(training__checkpoint_interval=100, training__evaluation_interval=0)
    measure = judging.Judge.measure

    def failing(self, *arguments, **options):
        if self._session.step == 10:
            raise RuntimeError("too little memory")
        return measure(self, *arguments, **options)

    monkeypatch.setattr(judging.Judge, "measure", failing)
    with pytest.raises(RuntimeError):
        train(run)
    assert run.checkpoints()[-1].step == 10


@pytest.mark.parametrize("change", [{"gone": 1.0}, {"stability": "high"}, {"shares": None}])
def test_health_of_another_version_does_not_end_the_run(make_run, change):
    run = make_run()
    stop_at(run, 6)

    def changed(state):
        return state | {"health": {model: values | change for model, values in state["health"].items()}}

    change_state(run, changed)
    train(run)
    assert run.status()["state"] == "finished"
    assert run.status()["result"]["verdict"]


def test_a_checkpoint_that_cannot_be_deleted_does_not_end_the_run(make_run, monkeypatch):
    def locked(path):
        raise PermissionError(13, "used by another process")

    monkeypatch.setattr(storage, "delete_checkpoint", locked)
    run = make_run(training__checkpoint_interval=1, training__keep_checkpoints=1)
    assert isinstance(train(run)[-1], Finished)


@pytest.mark.parametrize("statistics", list(TeacherStatistics))
def test_out_of_memory_inside_the_step_resumes_exactly(make_run, monkeypatch, statistics):
    whole, run = (make_run(name, training__teacher_statistics=statistics) for name in ("whole", "run"))
    train(whole)
    real = session.masktwins_step

    def out_of_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    def failing(student, teacher, images, draws, config, t, anchor=None):
        if t == 3:
            monkeypatch.setattr(method, "to_mask", out_of_memory)
        return real(student, teacher, images, draws, config, t, anchor)

    monkeypatch.setattr(session, "masktwins_step", failing)
    with pytest.raises(RunError):
        train(run)
    monkeypatch.undo()
    train(run)
    assert final_weights(run) == final_weights(whole)


def test_best_is_not_forgotten_when_its_checkpoint_fails(make_run, monkeypatch):
    """Raise best only with a checkpoint behind it."""
    run = make_run(training__evaluation_interval=1, training__checkpoint_interval=100)
    values = iter([10.0, 50.0, 30.0, 20.0, 10.0, 10.0, 10.0])

    def measured(self, source_health, *, source=False):
        yield from ()
        scores = Scores(next(values), 0.0, {}, ())
        model = Model.SOURCE if source else Model.TEACHER
        return Measurement(self._session.step, model, {model: scores}, None)

    monkeypatch.setattr(judging.Judge, "measure", measured)

    def failing(folder, *arguments):
        if folder.name == "step-000001":
            raise CheckpointError("disk full")
        save_checkpoint(folder, *arguments)

    monkeypatch.setattr(record, "save_checkpoint", failing)
    train(run)
    assert run.status()["best_checkpoint"] == "step-000002"  # 30.0, the best that was saved


def test_what_was_earned_is_kept_when_the_images_are_gone(make_run, monkeypatch):
    run = make_run(training__checkpoint_interval=100, training__evaluation_interval=0)

    def gone(self, step):
        if step == 7:
            raise RunError("None of the 6 target images can be used")
        return make_batch(self, step)

    make_batch = Session.make_batch
    monkeypatch.setattr(Session, "make_batch", gone)
    with pytest.raises(RunError, match="None of the 6"):
        train(run)
    assert run.checkpoints()[-1].step == 7


def test_short_memory_without_a_class_of_its_own_is_said_in_words(make_run, monkeypatch):
    def failing(self, batch):
        raise RuntimeError("MPS backend out of memory")

    run = make_run()
    monkeypatch.setattr(Session, "train_step", failing)
    with pytest.raises(RunError, match=r"training\.crop_size"):
        train(run)


def test_what_a_step_holds_is_freed_before_memory_is_asked_for_again(make_run, monkeypatch):
    run, held, alive = make_run(), [], []

    def failing(self, batch):
        activations = torch.zeros(1000)
        held.append(weakref.ref(activations))
        raise torch.OutOfMemoryError("CUDA out of memory")

    def watched(self):
        alive.append(held[0]() is not None)
        return undo(self)

    undo = StepGuard.undo
    monkeypatch.setattr(Session, "train_step", failing)
    monkeypatch.setattr(StepGuard, "undo", watched)
    with pytest.raises(RunError, match=r"gradient_checkpointing to true, or raise training\.accumulation above 1"):
        train(run)
    assert alive == [False]


def test_short_memory_at_the_copy_resumes_exactly(make_run, monkeypatch):
    whole, run = make_run("whole"), make_run("run")
    train(whole)
    to_device = Session.to_device

    def failing(self, batch):
        if self.step == 4:  # the first of the adaptation, whose guard watches more than the last one's
            raise torch.OutOfMemoryError("CUDA out of memory")
        return to_device(self, batch)

    monkeypatch.setattr(Session, "to_device", failing)
    with pytest.raises(RunError, match=r"training\.crop_size"):
        train(run)
    monkeypatch.undo()
    train(run)
    assert final_weights(run) == final_weights(whole)


def test_a_change_that_cannot_be_kept_is_not_made(make_run, monkeypatch):
    run, control = make_run(), RunControl()
    control.change({"loss.twin_weight": 0.5})

    def full(self, step, changes):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RunFolder, "append_change", full)
    events = list(adapt(control, run))
    assert isinstance(events[-1], Finished)
    (warning,) = (event for event in events if isinstance(event, Warned) and event.code == "disk")
    assert "was not made" in warning.message
    assert not any(isinstance(event, SettingsChanged) for event in events)


def test_a_row_of_the_last_step_is_not_written_twice(make_run):
    run = make_run()
    for event in (events := adapt(RunControl(), run)):
        if isinstance(event, Evaluated) and event.step == 10 and event.model is Model.TEACHER:
            next(events)
            break
    events.close()
    train(run)
    assert [row["step"] for row in run.metrics() if row["teacher_miou"]].count("10") == 1
