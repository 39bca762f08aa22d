"""Stop and keep the best: the last state is measured too, and the best checkpoint is the run's result."""

from core.control import RunControl
from core.events import CheckpointSaved, Evaluated, Finished, HealthMeasured, Measuring, Model, StepDone
from core.runs.previews import preview_steps, read_preview
from core.training.loop import adapt

LONG = {"training__steps": 400, "training__evaluation_interval": 0, "training__checkpoint_interval": 1000}


def stopped(run, *, at, keep_best):
    """Events of a run that is stopped once so many steps are logged."""
    control, events = RunControl(), []
    for event in adapt(control, run):
        events.append(event)
        if isinstance(event, StepDone) and event.step >= at:
            control.stop(keep_best=keep_best)
    return events


def test_the_last_state_is_measured_and_the_best_checkpoint_is_chosen(make_run):
    run = make_run(**LONG)
    events = stopped(run, at=8, keep_best=True)
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.stopped
    assert Model.TEACHER in {event.model for event in events if isinstance(event, Evaluated)}
    assert any(isinstance(event, HealthMeasured) and event.step == finished.step for event in events)
    status = run.status()
    assert status["state"] == "stopped"
    assert status["chosen_checkpoint"] == finished.result["best_checkpoint"]
    assert (run.checkpoints_path / status["chosen_checkpoint"] / "state.json").is_file()
    assert any(isinstance(event, CheckpointSaved) for event in events)
    assert any(isinstance(event, Measuring) for event in events)  # it takes a while: the window says so


def test_a_plain_stop_measures_nothing_and_chooses_nothing(make_run):
    run = make_run(**LONG)
    events = stopped(run, at=8, keep_best=False)
    assert events[-1].stopped
    assert Model.TEACHER not in {event.model for event in events if isinstance(event, Evaluated)}
    assert not run.status().get("chosen_checkpoint")


def test_a_stop_before_the_adaptation_has_nothing_to_choose(make_run):
    run = make_run(training__source_steps=50, **LONG)
    assert stopped(run, at=2, keep_best=True)[-1].stopped
    assert not run.status().get("chosen_checkpoint")


def test_a_run_that_goes_on_to_its_end_has_no_chosen_checkpoint(make_run):
    run = make_run(training__steps=6)
    stopped(run, at=6, keep_best=True)
    for event in adapt(RunControl(), run):
        last = event
    assert not last.stopped
    assert not run.status().get("chosen_checkpoint")


def test_the_previews_of_a_run_are_read_back_as_it_sent_them(make_run):
    run = make_run(training__preview_interval=5)
    sent = {e.step: e for e in adapt(RunControl(), run) if type(e).__name__ == "PreviewReady"}
    assert preview_steps(run.previews_path) == sorted(sent) == [5, 10]
    found = read_preview(run.previews_path, 10)
    assert found.names == sent[10].names
    for mine, theirs in zip(found.frames, sent[10].frames, strict=True):
        assert mine.keys() == theirs.keys()
        assert all((mine[name] == theirs[name]).all() for name in mine)
