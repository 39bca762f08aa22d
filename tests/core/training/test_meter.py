import pytest
import torch

from core.configuration.training import TrainingConfig
from core.events import Phase
from core.training import meter as module
from core.training.meter import Chore, Meter, chores_left


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module.time, "perf_counter", clock)
    return clock


def settings(**changes):
    base = {"source_steps": 4, "steps": 6, "preview_interval": 5, "evaluation_interval": 2, "checkpoint_interval": 3}
    return TrainingConfig(**{**base, **changes})


def left(step, **changes):
    found = chores_left(settings(**changes), step)
    return found[Chore.PREVIEW], found[Chore.MEASUREMENT], found[Chore.CHECKPOINT]


def test_chores_are_counted_to_the_end():
    assert left(0) == (2, 4, 5)  # previews 5, 10; measured at 4 (source), 6, 8, 10; saved at 3, 4, 6, 9, 10
    assert left(4) == (2, 4, 4)  # what is due at the step itself is still to be done
    assert left(5) == (2, 3, 3)
    assert left(8) == (1, 2, 2)
    assert left(10) == (1, 1, 1)


def test_an_interval_of_zero_is_never_due():
    assert left(0, preview_interval=0, evaluation_interval=0) == (0, 2, 5)


def test_chores_do_not_count_as_steps(clock):
    meter = Meter()
    meter.restart()
    for _ in range(2):
        clock.now += 3
        meter.losses.append({"source": torch.tensor(1.0)})
        with meter.doing(Chore.PREVIEW):
            clock.now += 10
    assert meter.lap(Phase.SOURCE) == pytest.approx(3)
    assert meter.chore_cost == {Chore.PREVIEW: 10}
    assert meter.losses == []


def test_the_time_left_is_steps_and_chores_at_their_last_cost(clock):
    meter = Meter()
    meter.step_cost = {Phase.SOURCE: 1.0, Phase.ADAPT: 2.0}
    assert meter.seconds_left(settings(), 0) == pytest.approx(4 * 1 + 6 * 2)
    meter.chore_cost = {
        Chore.PREVIEW: 100.0,
        Chore.MEASUREMENT: 1000.0,
        Chore.CHECKPOINT: 10_000.0,
        Chore.STEERING: 7.0,
    }
    assert meter.seconds_left(settings(), 8) == pytest.approx(2 * 2 + 100 + 2 * 1000 + 2 * 10_000)
