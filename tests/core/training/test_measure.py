"""A few real steps in place of a run, and what they say of it."""

import pytest

from core.control import RunControl
from core.errors import RunError
from core.events import Estimate, Measuring
from core.training.measure import measure
from tests.core.tiny import tiny_config


def estimate(config, folder):
    return list(measure(RunControl(), (config, folder)))


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def test_the_figures_of_a_long_run_come_from_a_few_steps(tiny_data, place):
    config = tiny_config(tiny_data, training__steps=1000, training__source_steps=500, training__evaluation_interval=100)
    events = estimate(config, place)
    found = events[-1]
    assert isinstance(found, Estimate)
    assert (found.device, found.source_step_seconds > 0, found.adapt_step_seconds > 0) == ("cpu", True, True)
    steps = 500 * found.source_step_seconds + 1000 * found.adapt_step_seconds
    assert found.total_seconds > steps + 11 * found.evaluation_seconds
    assert found.evaluation_seconds > 0
    assert 0 < found.memory_gib < found.memory_total_gib
    assert found.checkpoint_bytes > 10_000
    assert found.disk_bytes >= 5 * found.checkpoint_bytes  # three newest, the best, source-only
    assert [event.done for event in events if isinstance(event, Measuring) and event.message == "measuring steps"][
        -1
    ] == 8
    assert list(place.iterdir()) == []  # nothing is left behind


def test_a_run_of_one_phase_has_no_figure_of_the_other(tiny_data, place):
    only_source = estimate(tiny_config(tiny_data, training__steps=0), place)[-1]
    assert only_source.adapt_step_seconds is None
    assert only_source.source_step_seconds > 0
    only_adaptation = estimate(tiny_config(tiny_data, training__source_steps=0), place)[-1]
    assert only_adaptation.source_step_seconds is None


def test_more_steps_take_longer_and_the_rest_stays(tiny_data, place):
    short = estimate(tiny_config(tiny_data), place)[-1]
    long = estimate(tiny_config(tiny_data, training__steps=6000), place)[-1]
    assert long.total_seconds > 20 * short.total_seconds


def test_a_stop_cancels_and_leaves_nothing(tiny_data, place):
    control = RunControl()
    found = []
    for event in measure(control, (tiny_config(tiny_data), place)):
        found.append(event)
        if isinstance(event, Measuring):
            control.stop()
    assert not any(isinstance(event, Estimate) for event in found)
    assert list(place.iterdir()) == []


def test_an_abandoned_measurement_leaves_nothing(tiny_data, place):
    events = measure(RunControl(), (tiny_config(tiny_data), place))
    next(events)
    next(events)
    events.close()
    assert list(place.iterdir()) == []


def test_what_cannot_be_trained_cannot_be_measured(tiny_data, place, tmp_path):
    with pytest.raises(RunError, match="gone"):
        estimate(tiny_config(tiny_data, data__source_images=tmp_path / "gone"), place)
    with pytest.raises(RunError, match="Nothing could be measured in"):
        estimate(tiny_config(tiny_data), tmp_path / "gone")
