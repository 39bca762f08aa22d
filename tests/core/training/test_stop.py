"""A stop is heard in every phase of a run, and what it broke off is made up for."""

import threading
import time

import pytest
import torch
from torch import nn

from core.control import RunControl
from core.dataset.reading import UnreachableError
from core.evaluation import health
from core.events import Evaluated, Finished, HealthMeasured, Measuring, Preparing, PreviewReady, StepDone, Warned
from core.loading import counting, sampling
from core.runs.resume import prepare_resume
from core.training import judging
from core.training.interruption import InterruptedByStop, interruptible
from core.training.loop import adapt
from tests.core.tiny import final_weights, train


def stop_when(run, condition):
    """The events of a run that is stopped at the first event that fulfils the condition."""
    control, events = RunControl(), []
    for event in adapt(control, run):
        events.append(event)
        if condition(event):
            control.stop()
    assert isinstance(events[-1], Finished)
    return events


def measured_rows(run):
    return {row["step"]: row["teacher_miou"] for row in run.metrics() if row["teacher_miou"]}


def test_a_forward_ends_at_the_next_layer():
    seen = []
    network = nn.Sequential(*(nn.Linear(2, 2) for _ in range(100)))
    network.register_forward_hook(lambda *_: seen.append("to the end"))
    network[4].register_forward_hook(lambda *_: seen.append(4))
    with pytest.raises(InterruptedByStop), interruptible([network], lambda: 4 in seen):
        network(torch.zeros(1, 2))
    assert seen == [4]
    network(torch.zeros(1, 2))
    assert seen == [4, 4, "to the end"]


@pytest.mark.parametrize("work", ["evaluation_steps", "_measure"])  # scores, health
@pytest.mark.parametrize("step", [4, 8, 10])  # after the source-only steps, in between, at the end
def test_a_measurement_is_broken_off_and_made_up_for(make_run, monkeypatch, work, step):
    whole, run, control = make_run("whole"), make_run("run"), RunControl()
    train(whole)
    module = judging if work == "evaluation_steps" else health
    real, reached = getattr(module, work), [0]

    def stopping(*arguments, **options):
        if reached[-1] == step:
            control.stop()
        return real(*arguments, **options)

    monkeypatch.setattr(module, work, stopping)
    found = []
    for event in adapt(control, run):
        reached += [event.step] if isinstance(event, StepDone) else []
        found += [event] if isinstance(event, HealthMeasured) and event.step == step else []
    assert isinstance(event, Finished)
    assert event.stopped
    assert found == []
    assert run.checkpoints()[-1].step == step
    monkeypatch.undo()
    finished = train(run)[-1]
    assert not finished.stopped
    assert final_weights(run) == final_weights(whole)
    assert measured_rows(run) == measured_rows(whole)
    assert run.status()["best_checkpoint"] == whole.status()["best_checkpoint"]
    assert finished.result["source_only"] == whole.status()["result"]["source_only"]


def test_a_measurement_reports_its_progress(make_run):
    seen = [event for event in train(make_run()) if isinstance(event, Measuring)]
    assert {event.message for event in seen} == {
        "scoring on the labelled target images", "measuring without labels", "estimating batch-norm statistics",
    }  # fmt: skip
    assert all(0 < event.done <= event.total for event in seen)


def test_a_preview_is_broken_off(make_run, monkeypatch):
    from core.training import preview

    control, run = RunControl(), make_run(training__preview_interval=5)
    masked_picture = preview.masked_picture

    def stopping(*arguments):
        control.stop()  # while the first frame's views are made
        return masked_picture(*arguments)

    monkeypatch.setattr(preview, "masked_picture", stopping)
    events = list(adapt(control, run))
    assert not any(isinstance(event, PreviewReady) for event in events)
    assert events[-1].stopped
    assert events[-1].step == 5
    assert not list(run.previews_path.iterdir())


@pytest.mark.parametrize("threads", [0, 2])
def test_a_stop_is_heard_while_a_drive_is_away_and_the_wait_is_reported(make_run, monkeypatch, threads):
    whole = make_run("whole", training__log_interval=1)
    train(whole)
    read, away = sampling.read_image, threading.Event()

    def read_image(path):
        if away.is_set():
            raise UnreachableError(f"{path} cannot be opened: Host is down.")
        return read(path)

    monkeypatch.setattr(sampling, "read_image", read_image)
    control, run = RunControl(), make_run("run", training__log_interval=1, data__loader_threads=threads)
    warned, stopped_at = [], None
    for event in adapt(control, run):
        if isinstance(event, StepDone) and event.step == 2:
            away.set()
            if not threads:  # nothing is yielded while the loop itself reads
                threading.Timer(0.5, control.stop).start()
        if isinstance(event, Warned):
            warned.append(event.code)
        if isinstance(event, Warned) and event.code == "waiting":
            assert "Waiting for the drive" in event.message
            stopped_at = time.monotonic()
            control.stop()
        last = event
    assert last.stopped
    if threads:
        assert stopped_at is not None
        assert time.monotonic() - stopped_at < 3  # far from TRY_AGAIN_S and PATIENCE_S
    assert warned.count("waiting") <= 1
    assert run.checkpoints()[-1].step == last.step
    away.clear()
    train(run)
    assert final_weights(run) == final_weights(whole)


def test_a_stop_ends_the_counting_of_classes(make_run, monkeypatch):
    monkeypatch.setattr(counting, "CALL_EVERY", 1)
    run = make_run(data__rare_class_sampling=True)
    events = stop_when(run, lambda event: isinstance(event, Preparing) and "counting" in event.message)
    assert (events[-1].stopped, events[-1].step, events[-1].result["checkpoint"]) == (True, 0, None)
    assert not (run.path / "class_counts.npz").exists()
    assert run.status()["state"] == "stopped"
    assert not train(run)[-1].stopped


def test_a_stop_before_a_resumed_run_goes_on_keeps_its_checkpoint(make_run):
    run = make_run()
    stop_when(run, lambda event: isinstance(event, StepDone) and event.step == 6)
    before = final_weights(run)
    events = stop_when(run, lambda event: isinstance(event, Preparing))
    assert events[-1].step == 6
    assert events[-1].result["checkpoint"] == str(run.checkpoints()[-1].path)
    assert final_weights(run) == before
    assert any(isinstance(event, Evaluated) for event in train(run))


def test_a_finished_run_that_is_made_longer_has_one_measurement_of_its_former_end(make_run):
    """The last checkpoint is written before the last measurement, which is made again where it is due."""
    run = make_run(training__evaluation_interval=3)
    train(run)
    prepare_resume(run, {}, more_steps=3)
    train(run)
    steps = [row["step"] for row in run.metrics() if row["teacher_miou"]]
    assert steps == ["7", "10", "13"]
