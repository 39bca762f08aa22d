"""The run's transitions, with engines that train nothing."""

import threading

import pytest

from core.config import RunConfig
from core.runs import RunFolder
from masktwins_gui.controller import Controller
from masktwins_gui.models.project import ProjectModel
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
        qtbot.waitUntil(lambda c=controller: not c.state.active, timeout=10_000)
        controller.close()


def wait_for(qtbot, controller, state):
    qtbot.waitUntil(lambda: controller.state is state, timeout=10_000)


def test_a_run_goes_through_its_states(qtbot, make_controller):
    engine = FakeEngine()
    controller = make_controller(engine)
    states = []
    controller.state_changed.connect(states.append)
    controller.start("night")
    assert controller.state is RunState.PREPARING
    wait_for(qtbot, controller, RunState.RUNNING)
    qtbot.waitUntil(lambda: len(controller.losses.series.get("total", ())) > 5)
    controller.pause()
    wait_for(qtbot, controller, RunState.PAUSED)
    held = len(controller.losses.series["total"])
    controller._drain()
    assert len(controller.losses.series["total"]) == held
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
    assert {mark.kind for mark in controller.losses.marks} == {"phase", "pause", "checkpoint"}
    assert controller.quality.series["teacher"].y.tolist() == [50.0]
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
    assert controller.previews.previews == []
    assert len(controller.losses.series["total"]) == 1  # what came before the failure is shown
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
    qtbot.waitUntil(lambda: any(mark.kind == "change" for mark in controller.losses.marks))


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
    total = controller.losses.series["total"]
    assert total.x.tolist() == [1, 2, 3]
    assert total.y.tolist() == [3.0, 2.5, 1 / 3]  # the row after the checkpoint is gone
    assert controller.quality.series["teacher"].y.tolist() == [41.0]


def test_the_curves_of_the_newest_run_are_shown_when_a_project_opens(qtbot, make_controller, small_data):
    controller = make_controller(FakeEngine())
    run = RunFolder(controller.project.folder / "runs" / "old-01")
    run.create(small_data)
    run.metrics_path.write_text("step,phase,total,learning_rate\n1,source,3.0,0.1\n2,source,2.5,0.1\n")
    controller.refresh_runs()
    qtbot.waitUntil(lambda: "total" in controller.losses.series)
    assert list(controller.losses.series) == ["total"]
    controller.project.new(RunConfig())
    assert not controller.losses.series
    qtbot.waitUntil(lambda: not controller.jobs.busy)


def test_the_engine_runs_in_a_thread_of_its_own(qtbot, make_controller):
    threads = []

    def engine(control, run):
        threads.append(threading.get_ident())
        yield started(run)

    controller = make_controller(engine)
    controller.start()
    wait_for(qtbot, controller, RunState.IDLE)
    assert threads != [threading.get_ident()]
