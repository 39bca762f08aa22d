"""The run's transitions, with engines that train nothing."""

import threading

import pytest

from core.configuration.config import RunConfig
from core.events import Finished, HealthMeasured, Model
from core.runs.folder import RunFolder
from masktwins_gui.controller import Controller
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.runs import read_run
from masktwins_gui.models.states import RunState
from tests.masktwins_gui.fakes import FakeEngine, failing_engine, started, step_done


@pytest.fixture
def make_controller(qtbot, project_file):
    made = []

    def make(engine):
        project = ProjectModel()
        project.open(project_file)
        made.append(Controller(project, engine))
        return made[-1]

    yield make
    for controller in made:
        controller.stop()
        qtbot.waitUntil(lambda c=controller: not c.state.active)
        controller.close()


def wait_for(qtbot, controller, state):
    qtbot.waitUntil(lambda: controller.state is state)


def test_a_run_goes_through_its_states(qtbot, make_controller):
    engine = FakeEngine()
    controller = make_controller(engine)
    states = []
    controller.state_changed.connect(states.append)
    controller.start("night")
    assert controller.state is RunState.PREPARING
    wait_for(qtbot, controller, RunState.RUNNING)
    qtbot.waitUntil(lambda: len(controller.shown.losses.series.get("total", ())) > 5)
    controller.pause()
    wait_for(qtbot, controller, RunState.PAUSED)
    held = len(controller.shown.losses.series["total"])
    controller._drain()
    assert len(controller.shown.losses.series["total"]) == held
    controller.resume()
    wait_for(qtbot, controller, RunState.RUNNING)
    with qtbot.waitSignal(controller.ended) as ended:
        controller.stop()
    wait_for(qtbot, controller, RunState.IDLE)
    assert ended.args[0].stopped
    expected = [
        RunState.PREPARING,
        RunState.RUNNING,
        RunState.PAUSED,
        RunState.RUNNING,
        RunState.STOPPING,
        RunState.IDLE,
    ]
    assert states == expected
    assert engine.closed
    assert {mark.kind for mark in controller.shown.losses.marks} == {"pause", "checkpoint"}
    assert controller.shown.quality.series["teacher"].y.tolist() == [50.0]
    assert RunFolder.is_run(controller.run_path)
    assert controller.run_path.name == "night-01"


def test_stop_releases_a_pause(qtbot, make_controller):
    controller = make_controller(FakeEngine())
    controller.start()
    wait_for(qtbot, controller, RunState.RUNNING)
    controller.pause()
    wait_for(qtbot, controller, RunState.PAUSED)
    controller.stop()
    wait_for(qtbot, controller, RunState.IDLE)


def test_a_failure_is_told_and_clears_the_previews(qtbot, make_controller):
    controller = make_controller(failing_engine)
    with qtbot.waitSignal(controller.failed) as failed:
        controller.start()
    assert controller.state is RunState.FAILED
    assert failed.args[0] == "the card has left the bus"
    assert "RuntimeError" in failed.args[1]
    assert controller.shown.filmstrip.steps == []
    assert len(controller.shown.losses.series["total"]) == 1  # what came before the failure is shown
    controller._engine = FakeEngine(num_steps=3)  # and another run can follow
    with qtbot.waitSignal(controller.ended):
        controller.start()
    wait_for(qtbot, controller, RunState.IDLE)


def test_a_missing_folder_fails_with_a_sentence(qtbot, make_controller, tmp_path):
    controller = make_controller(FakeEngine())
    controller.project.change({"data.source_images": tmp_path / "gone"})
    with qtbot.waitSignal(controller.failed) as failed:
        controller.start()
    assert "gone" in failed.args[0]
    assert controller.state is RunState.FAILED


def test_only_live_changes_reach_the_engine_and_undo_is_another_change(qtbot, make_controller):
    engine = FakeEngine()
    controller = make_controller(engine)
    controller.project.change({"mask.block_size": 16})
    controller.start()
    wait_for(qtbot, controller, RunState.RUNNING)
    controller.project.change({"mask.ratio": 0.3})
    qtbot.waitUntil(lambda: engine.changes == [{"mask.ratio": 0.3}])
    controller.project.undo()
    qtbot.waitUntil(lambda: engine.changes == [{"mask.ratio": 0.3}, {"mask.ratio": 0.5}])
    controller.project.undo()  # not below the start of the run
    assert controller.project.config.mask.block_size == 16
    controller.project.change({"training.batch_size": 3})  # not live
    controller.project.change({"mask.ratio": 0.7})
    qtbot.waitUntil(lambda: len(engine.changes) == 3)
    assert engine.changes[-1] == {"mask.ratio": 0.7}
    qtbot.waitUntil(lambda: any(mark.kind == "change" for mark in controller.shown.losses.marks))


def test_a_second_start_while_running_does_nothing(qtbot, make_controller):
    controller = make_controller(FakeEngine())
    controller.start()
    wait_for(qtbot, controller, RunState.RUNNING)
    first = controller.run_path
    controller.start()
    assert controller.run_path == first


def test_a_resumed_run_continues_its_curves(qtbot, make_controller, small_data):
    def engine(control, run):
        yield started(run, first_step=2)
        yield step_done(3)

    controller = make_controller(engine)
    run = RunFolder(controller.project.folder / "runs" / "old-01")
    run.create(small_data)
    run.metrics_path.write_text("step,phase,total,teacher_miou\n1,source,3.0,\n2,source,2.5,41.0\n3,source,9.0,\n")
    controller.resume_run(run.path)
    wait_for(qtbot, controller, RunState.IDLE)
    total = controller.shown.losses.series["total"]
    assert total.x.tolist() == [1, 2, 3]
    assert total.y.tolist() == [3.0, 2.5, 1 / 3]  # the row after the checkpoint is gone
    assert controller.shown.quality.series["teacher"].y.tolist() == [41.0]


def test_the_curves_of_the_newest_run_are_shown_when_a_project_opens(qtbot, make_controller, small_data):
    controller = make_controller(FakeEngine())
    run = RunFolder(controller.project.folder / "runs" / "old-01")
    run.create(small_data)
    run.metrics_path.write_text("step,phase,total,learning_rate\n1,source,3.0,0.1\n2,source,2.5,0.1\n")
    controller.refresh_runs()
    qtbot.waitUntil(lambda: "total" in controller.shown.losses.series)
    assert list(controller.shown.losses.series) == ["total"]
    controller.project.new(RunConfig())
    assert not controller.shown.losses.series
    qtbot.waitUntil(lambda: not controller.jobs.busy)


NEW_ROWS = (
    "step,phase,total,source_miou,teacher_miou,health_score,health_stability,health_collapsed\n"
    "4,source,2.0,,,,,\n4,,,30.5,,0.66,0.7,0\n7,adapt,1.5,,41,0.71,0.8,0\n9,adapt,1.0,,,,,\n"
)
OLD_ROWS = "step,phase,total,loss_of_old,student_miou\n,,,,\n5,adapt,1.5,3.0,41\n"


def make_run(controller, config, name, rows, **status):
    run = RunFolder(controller.project.folder / "runs" / name)
    run.create(config)
    run.metrics_path.write_text(rows)
    run.write_status(state="finished", step=10, **status)
    return run


def test_an_earlier_run_brings_its_health_and_its_verdict(qtbot, make_controller, small_data):
    controller = make_controller(FakeEngine())
    shown = []
    controller.shown.changed.connect(shown.append)
    old = make_run(controller, small_data, "old-01", OLD_ROWS)
    new = make_run(controller, small_data, "new-01", NEW_ROWS, result={"verdict": "The adapted model looks better."})
    controller.show_run(read_run(new.path))
    qtbot.waitUntil(lambda: shown[-1:] == [new.path])
    health = controller.shown.health
    assert (health.source.score, health.adapted.score, health.adapted.step) == (0.66, 0.71, 7)
    assert health.verdict == "The adapted model looks better."
    assert health.curves.series["stability"].y.tolist() == [0.7, 0.8]
    assert controller.shown.quality.series["source"].y.tolist() == [30.5]
    controller.show_run(read_run(old.path))  # of a version without health, and with a row that has no step
    qtbot.waitUntil(lambda: shown[-1] == old.path)
    assert (health.source, health.adapted, health.verdict) == (None, None, "")
    assert controller.shown.losses.series["total"].x.tolist() == [5]
    assert list(controller.shown.quality.series) == ["student"]


def test_the_curves_of_a_project_that_was_left_meanwhile_are_not_shown(qtbot, make_controller, small_data):
    controller = make_controller(FakeEngine())
    run = make_run(controller, small_data, "new-01", NEW_ROWS)
    controller.show_run(read_run(run.path))
    controller.project.new(RunConfig())
    qtbot.waitUntil(lambda: not controller.jobs.busy)
    assert not controller.shown.losses.series
    assert controller.shown.health.source is None


def test_a_run_tells_its_health_as_it_goes(qtbot, make_controller):
    def engine(control, run):
        yield started(run)
        yield HealthMeasured(4, Model.SOURCE, {"health_stability": 0.6, "health_collapsed": 0.0}, 0.5)
        yield HealthMeasured(9, Model.TEACHER, {"health_stability": 0.2, "health_collapsed": 1.0}, -0.4)
        yield Finished(9, stopped=False, result={"verdict": "The source-only model looks better."})

    controller = make_controller(engine)
    shown = []
    controller.shown.changed.connect(shown.append)
    with qtbot.waitSignal(controller.ended):
        controller.start()
    wait_for(qtbot, controller, RunState.IDLE)
    assert shown[-1] == controller.run_path
    assert (controller.shown.health.source.score, controller.shown.health.adapted.score) == (0.5, -0.4)
    assert controller.shown.health.adapted.collapsed
    assert controller.shown.health.verdict == "The source-only model looks better."


def test_the_engine_runs_in_a_thread_of_its_own(qtbot, make_controller):
    threads = []

    def engine(control, run):
        threads.append(threading.get_ident())
        yield started(run)

    controller = make_controller(engine)
    controller.start()
    wait_for(qtbot, controller, RunState.IDLE)
    assert threads != [threading.get_ident()]
