"""The run's transitions, with engines that train nothing."""

import shutil
import threading

import pytest

from core.configuration import settings
from core.configuration.config import RunConfig
from core.errors import RunError
from core.events import Finished, HealthMeasured, Measuring, Model, Preparing, SettingsChanged
from core.runs.folder import RunFolder
from masktwins_gui.controller import Controller
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.runs import read_run
from masktwins_gui.models.states import RunState
from tests.masktwins_gui.fakes import ESTIMATE, FakeEngine, failing_engine, started, step_done


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
        qtbot.waitUntil(lambda c=controller: c.quiet)


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


def test_a_failed_start_leaves_no_run_behind(qtbot, make_controller):
    def engine(control, run):
        yield Preparing("building the network")
        raise RunError("the encoder does not exist")

    controller = make_controller(engine)
    with qtbot.waitSignal(controller.failed):
        controller.start("night")
    wait_for(qtbot, controller, RunState.FAILED)
    assert not controller.run_path.exists()
    assert controller.run_path.parent.exists()


@pytest.mark.parametrize("name", ["../x", "a ö/b", "", "con"])
def test_a_name_that_is_no_folders_starts_nothing(qtbot, make_controller, project_file, name):
    controller = make_controller(FakeEngine())
    with qtbot.waitSignal(controller.failed):
        controller.start(name)
    assert controller.state is RunState.IDLE
    assert [path.name for path in project_file.parent.iterdir()] == [project_file.name]


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
    controller.loader.refresh()
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
    controller.loader.show(read_run(new.path))
    qtbot.waitUntil(lambda: shown[-1:] == [new.path])
    health = controller.shown.health
    assert (health.source.score, health.adapted.score, health.adapted.step) == (0.66, 0.71, 7)
    assert health.verdict == "The adapted model looks better."
    assert health.curves.series["stability"].y.tolist() == [0.7, 0.8]
    assert controller.shown.quality.series["source"].y.tolist() == [30.5]
    controller.loader.show(read_run(old.path))  # of a version without health, and with a row that has no step
    qtbot.waitUntil(lambda: shown[-1] == old.path)
    assert (health.source, health.adapted, health.verdict) == (None, None, "")
    assert controller.shown.losses.series["total"].x.tolist() == [5]
    assert list(controller.shown.quality.series) == ["student"]


def test_the_curves_of_a_project_that_was_left_meanwhile_are_not_shown(qtbot, make_controller, small_data):
    controller = make_controller(FakeEngine())
    run = make_run(controller, small_data, "new-01", NEW_ROWS)
    controller.loader.show(read_run(run.path))
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


def test_repeats_take_the_next_seeds_one_after_the_other(qtbot, make_controller):
    controller = make_controller(FakeEngine(num_steps=3))
    controller.project.change({"training.seed": 7})
    with qtbot.waitSignal(controller.repeated) as repeated:
        controller.repeat("night", 3)
    wait_for(qtbot, controller, RunState.IDLE)
    runs = [read_run(path) for path in repeated.args[0]]
    assert [run.name for run in runs] == ["night-01", "night-02", "night-03"]
    assert [run.config.training.seed for run in runs] == [7, 8, 9]
    assert [run.title for run in runs] == ["night, seed 7", "night, seed 8", "night, seed 9"]
    assert controller.project.config.training.seed == 7


def test_a_stop_ends_the_whole_series(qtbot, make_controller):
    controller = make_controller(FakeEngine())
    controller.repeat("night", 3)
    wait_for(qtbot, controller, RunState.RUNNING)
    controller.stop()
    wait_for(qtbot, controller, RunState.IDLE)
    assert len(list((controller.project.folder / "runs").iterdir())) == 1


def fake_measure(control, subject):
    yield Preparing("building the network")
    yield Measuring("measuring steps", 1, 8)
    while not control.stopping and subject[0].training.batch_size == 99:
        control._stop.wait(0.002)
    if subject[0].training.batch_size == 98:
        raise RuntimeError("out of memory")
    if not control.stopping:
        yield ESTIMATE


def test_a_measurement_has_a_state_of_its_own_and_makes_no_run(qtbot, make_controller):
    controller = make_controller(FakeEngine())
    controller._measure = fake_measure
    states = []
    controller.state_changed.connect(states.append)
    with qtbot.waitSignal(controller.measured) as measured:
        controller.measure()
    wait_for(qtbot, controller, RunState.IDLE)
    assert measured.args == [ESTIMATE]
    assert states == [RunState.MEASURING, RunState.IDLE]
    assert not (controller.project.folder / "runs").exists()


def test_a_measurement_can_be_cancelled_and_can_fail(qtbot, make_controller):
    controller = make_controller(FakeEngine())
    controller._measure = fake_measure
    controller.project.change({"training.batch_size": 99})
    controller.measure()
    assert controller.measures
    controller.start()  # not now
    controller.stop()
    wait_for(qtbot, controller, RunState.IDLE)
    assert not controller.measures
    controller.project.change({"training.batch_size": 98})
    with qtbot.waitSignal(controller.measure_failed) as failed, qtbot.assertNotEmitted(controller.failed):
        controller.measure()
    assert failed.args[0] == "out of memory"
    assert controller.state is RunState.IDLE


def test_what_the_run_does_between_two_steps_is_told_until_the_next(qtbot, make_controller):
    go = threading.Event()

    def engine(control, run):
        yield started(run)
        yield step_done(1)
        yield Measuring("scoring the teacher", 2, 9)
        go.wait(10)
        yield step_done(2)

    controller = make_controller(engine)
    with qtbot.waitSignal(controller.measuring) as measuring:
        controller.start()
    assert measuring.args[0].message == "scoring the teacher"
    with qtbot.waitSignal(controller.stepped):
        go.set()
    wait_for(qtbot, controller, RunState.IDLE)


def test_while_a_run_is_resumed_its_own_settings_are_shown(qtbot, make_controller, small_data):
    engine = FakeEngine()
    controller = make_controller(engine)
    project = controller.project
    project.change({"training.learning_rate": 5e-4, "training.batch_size": 3})
    mine, mine_path = project.config, project.path
    run = RunFolder(project.folder / "runs" / "old-01")
    run.create(settings.with_changes(small_data, {"training.learning_rate": 3e-4}))
    run.append_change(0, {"loss.twin_weight": 0.25})
    run.write_status(state="stopped", step=0)
    controller.loader.refresh()
    qtbot.waitUntil(lambda: len(controller.runs.runs) == 1)
    controller.resume_run(run.path)
    wait_for(qtbot, controller, RunState.RUNNING)
    assert project.config.training.learning_rate == 3e-4
    assert project.config.loss.twin_weight == 0.25
    assert project.config.training.batch_size == small_data.training.batch_size
    project.change({"mask.ratio": 0.3})
    qtbot.waitUntil(lambda: engine.changes == [{"mask.ratio": 0.3}])
    project.save(mine_path)  # keeps the project's own settings
    assert settings.load(mine_path).training.learning_rate == 5e-4
    controller.stop()
    wait_for(qtbot, controller, RunState.IDLE)
    assert project.config == mine
    project.undo()  # its history goes on too
    assert project.config.training.learning_rate == small_data.training.learning_rate


def test_a_change_that_the_engine_repeats_is_shown_and_not_sent_again(qtbot, make_controller):
    sent = []

    def engine(control, run):
        yield started(run)
        yield SettingsChanged(5, {"loss.twin_weight": 0.25})
        for _ in range(50):
            control._stop.wait(0.002)
            while (changes := control.next_changes()) is not None:
                sent.append(changes)
            yield step_done(6)

    controller = make_controller(engine)
    controller.start()
    wait_for(qtbot, controller, RunState.IDLE)
    assert controller.project.config.loss.twin_weight == 0.25
    assert sent == []


def test_a_run_that_was_deleted_is_no_longer_shown(qtbot, make_controller, small_data):
    controller = make_controller(FakeEngine())
    make_run(controller, small_data, "new-01", NEW_ROWS)
    controller.loader.refresh()
    qtbot.waitUntil(lambda: controller.shown.path is not None)
    shutil.rmtree(controller.shown.path)
    controller.loader.refresh()
    qtbot.waitUntil(lambda: controller.shown.path is None)
    assert not controller.shown.losses.series
