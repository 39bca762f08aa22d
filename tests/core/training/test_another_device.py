"""A run goes on with what it computed with; on another kind of device that is resolved again, and said."""

import json

import pytest

from core.configuration.choices import Precision
from core.control import RunControl
from core.events import Finished, RunStarted, StepDone, Warned
from core.training import building
from core.training.loop import adapt
from tests.core.tiny import change_state, final_weights, train


def stopped(run, **changes):
    control = RunControl()
    for event in adapt(control, run):
        if isinstance(event, StepDone) and event.step >= 6:
            control.stop()
    change_state(run, lambda state: state | changes)
    return run


def state_of(run):
    return json.loads((run.checkpoints()[-1].path / "state.json").read_text())


@pytest.fixture
def only_a_cpu(monkeypatch):
    monkeypatch.setattr(building.choose_device.__globals__["torch"].cuda, "is_available", lambda: False)


def test_a_run_from_a_gpu_goes_on_on_a_cpu_in_float32_and_says_so(make_run, only_a_cpu):
    whole = make_run("whole")
    train(whole)
    run = stopped(
        make_run("run"), device="cuda", device_reason="some card", precision="bf16", channels_last=True, threads=1
    )
    events = train(run)
    assert isinstance(events[-1], Finished)
    (warning,) = (event for event in events if isinstance(event, Warned) and event.code == "device")
    assert "was trained on cuda" in warning.message
    assert "continues on cpu" in warning.message
    assert "fp32" in warning.message
    (started,) = (event for event in events if isinstance(event, RunStarted))
    assert started.device == run.status()["device"] == "cpu"
    state = state_of(run)
    assert (state["device"], state["precision"], state["channels_last"]) == ("cpu", Precision.FP32.value, False)
    assert final_weights(run) == final_weights(whole)  # trained in float32 on this CPU all along


def test_on_the_same_kind_of_device_nothing_is_resolved_again(make_run):
    run = stopped(make_run("run"), precision="bf16", threads=1)
    events = train(run)
    assert not any(isinstance(event, Warned) and event.code == "device" for event in events)
    assert state_of(run)["precision"] == "bf16"
