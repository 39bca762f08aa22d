"""Random sequences of what a user may do to runs: the buttons always offer what is possible, and one thing runs at a time."""

import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from PySide6.QtCore import QCoreApplication

from core.configuration.settings import save
from core.events import Preparing
from masktwins_gui.controller import Controller
from masktwins_gui.models.dataset import DatasetModel, take_stock
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.states import RunState
from masktwins_gui.pages.train.page import TrainPage
from tests.masktwins_gui.fakes import ESTIMATE, FakeEngine, started

DATA = {}  # the session's small dataset, for a machine that hypothesis makes


@pytest.fixture(autouse=True)
def small(small_data):
    DATA["config"] = small_data


class OneAtATime:
    """An engine that ends after a few steps, and notices a second one at work."""

    def __init__(self):
        self._alive = 0
        self.overlapped = False

    def _enter(self):
        self._alive += 1
        self.overlapped |= self._alive > 1

    def __call__(self, control, run):
        self._enter()
        try:
            yield Preparing("loading")
            yield started(run)
            yield from FakeEngine(num_steps=40)._events(control, run)
        finally:
            self._alive -= 1

    def measure(self, control, subject):
        self._enter()
        try:
            yield Preparing("building the network")
            control._stop.wait(0.02)
            if not control.stopping:
                yield ESTIMATE
        finally:
            self._alive -= 1


class Runs(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        path = Path(self.place.name) / "project.toml"
        save(DATA["config"], path)
        self.engine = OneAtATime()
        project, dataset = ProjectModel(), DatasetModel()
        project.open(path)
        dataset.set_holdings(take_stock(DATA["config"].data))
        self.controller = c = Controller(project, self.engine, measure=self.engine.measure)
        self.page = TrainPage(project, dataset, c.runs, c.shown, c.comparison, c.jobs)
        c.state_changed.connect(self.page.set_run_state)
        c.measured.connect(self.page.show_estimate)
        self.config = project.config

    def wait(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            QCoreApplication.processEvents()
            time.sleep(0.002)

    @rule()
    def start(self):
        was_active = self.controller.state.active
        self.controller.start("a")
        assert self.controller.state.active
        assert was_active or self.controller.state is RunState.PREPARING

    @rule(count=st.integers(2, 3))
    def repeat(self, count):
        self.controller.repeat("b", count)

    @rule()
    def measure(self):
        self.controller.measure()

    @rule()
    def pause(self):
        self.controller.pause()

    @rule()
    def go_on(self):
        self.controller.resume()

    @rule(keep_best=st.booleans())
    def stop(self, keep_best):
        self.controller.stop(keep_best=keep_best)
        assert self.controller.state in (RunState.STOPPING, RunState.IDLE, RunState.FAILED)

    @rule()
    def resume_an_old_run(self):
        runs = [run for run in self.controller.runs.runs if run.resumable]
        if runs:
            self.controller.resume_run(runs[0].path)

    @rule(value=st.sampled_from([0.3, 0.5, 0.7]))
    def change(self, value):
        self.controller.project.change({"mask.ratio": value})

    @rule(seconds=st.sampled_from([0.0, 0.02, 0.15]))
    def let_time_pass(self, seconds):
        self.wait(seconds)

    @invariant()
    def the_buttons_offer_what_is_possible(self):
        state, page = self.controller.state, self.page
        assert page.start.isEnabled() == (not state.active)
        assert page.bar.measure.isEnabled() == (not state.active)
        if state is not RunState.RUNNING:  # a pressed pause waits for the end of the step
            assert page.pause.isEnabled() == (state is RunState.PAUSED)
        assert page.stop.isEnabled() == (state.active and state is not RunState.STOPPING)

    @invariant()
    def a_worker_is_alive_exactly_while_something_is_going_on(self):
        assert (self.controller._worker is not None) == self.controller.state.active
        assert not self.engine.overlapped

    def teardown(self):
        self.controller.stop()
        until = time.monotonic() + 60
        while self.controller.state.active and time.monotonic() < until:
            self.wait(0.02)
        assert self.controller.state in (RunState.IDLE, RunState.FAILED)
        assert self.controller.project.own == self.controller.project.config
        self.controller.close()
        self.page.deleteLater()
        self.controller.deleteLater()
        self.wait(0.01)
        self.place.cleanup()


def test_any_sequence_of_actions_leaves_the_runs_in_order(qtbot):
    limits = settings(
        max_examples=15, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    run_state_machine_as_test(Runs, settings=limits)


def test_the_engine_of_this_test_would_notice_a_second_one():
    engine = OneAtATime()
    first = engine(None, None)
    next(first)
    next(engine(None, None))
    assert engine.overlapped
