import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QStyleOptionViewItem

from core.configuration import settings
from core.configuration.config import RunConfig
from core.events import Finished
from core.runs.create import why_not_a_name
from core.runs.folder import RunFolder
from masktwins_gui.models.comparison import Comparison
from masktwins_gui.models.dataset import DatasetModel, take_stock
from masktwins_gui.models.presets import preset_changes
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.runs import RunsModel, list_runs
from masktwins_gui.models.shown_run import ShownRun
from masktwins_gui.models.states import PageState, RunState
from masktwins_gui.pages.train.page import TrainPage
from tests.masktwins_gui.fakes import DirectJobs


@pytest.fixture
def page(qtbot):
    jobs, runs = DirectJobs(), RunsModel()
    shown = ShownRun(jobs, no_preview)
    page = TrainPage(ProjectModel(), DatasetModel(), runs, shown, Comparison(runs, shown, jobs), jobs)
    page.states = []
    page.state_changed.connect(lambda state, count: page.states.append(state))
    qtbot.addWidget(page)
    page.resize(1100, 640)
    page.show()
    return page


def no_preview(run, step):
    raise FileNotFoundError(run, step)


@pytest.fixture
def ready(page, small_data):
    page._dataset.set_holdings(take_stock(small_data.data))
    return page


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_without_data_start_says_why_not(page):
    assert not page.start.isEnabled()
    assert "Data page" in page.start.toolTip()


def test_errors_in_the_data_block_the_start(ready):
    assert ready.start.isEnabled()
    ready._dataset.num_errors = 1
    ready._dataset.checked.emit()
    assert not ready.start.isEnabled()
    assert "errors" in ready.start.toolTip()


def test_the_buttons_follow_the_state(ready, qtbot):
    with qtbot.waitSignal(ready.start_requested) as start:
        ready.run_name.setText("dusk")
        click(qtbot, ready.start)
    assert start.args == ["dusk"]
    expected = {
        RunState.PREPARING: (False, False, True),
        RunState.RUNNING: (False, True, True),
        RunState.PAUSED: (False, True, True),
        RunState.STOPPING: (False, False, False),
        RunState.FAILED: (True, False, False),
        RunState.IDLE: (True, False, False),
    }
    for state, enabled in expected.items():
        ready.set_run_state(state)
        assert (ready.start.isEnabled(), ready.pause.isEnabled(), ready.stop.isEnabled()) == enabled, state


def test_a_value_that_was_refused_keeps_the_run_from_starting(ready, qtbot):
    line = ready.form.editors["training.learning_rate"].line
    line.setText("fast")
    line.editingFinished.emit()
    with qtbot.assertNotEmitted(ready.start_requested):
        click(qtbot, ready.start)
    assert "Learning rate: 'fast' is not a number" in ready.message.text()
    line.setText("1e-4")
    line.editingFinished.emit()
    with qtbot.waitSignal(ready.start_requested):
        click(qtbot, ready.start)


def test_pause_becomes_resume(ready, qtbot):
    ready.set_run_state(RunState.RUNNING)
    with qtbot.waitSignal(ready.pause_requested):
        click(qtbot, ready.pause)
    assert not ready.pause.isEnabled()  # until the step is done
    ready.set_run_state(RunState.PAUSED)
    assert ready.pause.text() == "Resume"
    with qtbot.waitSignal(ready.continue_requested):
        click(qtbot, ready.pause)
    ready.set_run_state(RunState.RUNNING)
    assert ready.pause.text() == "Pause"
    with qtbot.waitSignal(ready.stop_requested):
        click(qtbot, ready.stop)


def test_a_start_makes_room_for_the_curves(ready):
    assert ready.settings_panel.isVisible()
    ready.set_run_state(RunState.PREPARING)
    assert not ready.left.isVisible()
    assert not ready.form.editors["training.batch_size"].isEnabled()
    assert ready.form.editors["training.learning_rate"].isEnabled()


def test_a_preset_sets_all_but_the_folders(page, small_data):
    page._project.new(small_data)
    page.preset.activated.emit(page.preset.findData("quick"))
    found = page._project.config
    assert found == settings.with_changes(small_data, preset_changes("quick"))
    assert (found.network.architecture, found.training.crop_size) == ("segformer", 160)
    assert found.data == small_data.data
    page._project.undo()
    assert page._project.config == small_data
    assert page._project.config != RunConfig()


@pytest.mark.parametrize("name", settings.presets())
def test_every_preset_can_follow_every_other(page, small_data, name):
    page._project.new(small_data)
    for other in settings.presets():
        page._apply_preset(other)
        page._apply_preset(name)
        assert page.message.text() == settings.presets()[name], other


def test_the_list_of_presets_says_what_they_are(page):
    option = QStyleOptionViewItem()
    model = page.preset.model()
    page.preset.view().itemDelegate().initStyleOption(option, model.index(page.preset.findData("paper"), 0))
    assert option.text == settings.presets()["paper"]
    assert page.preset.itemText(page.preset.findData("paper")) == "Paper"


def test_the_end_is_written_to_the_log(ready):
    ready.show_end(Finished(10, stopped=False, result={"source_only": {"miou": 41.25}, "teacher": {"miou": 50.0}}))
    assert ready.message.text() == "Finished all 10 steps: source-only 41.2 → adapted 50.0 mIoU"
    ready.show_end(Finished(11, stopped=False, result={"verdict": "The adapted model looks better."}))
    assert ready.log.toPlainText().endswith("The adapted model looks better.")
    ready.show_end(Finished(3, stopped=True, result={"source_only": None, "teacher": None}))
    assert "Stopped after step 3" in ready.message.text()


def test_a_run_that_crashed_is_offered(ready, qtbot, small_data, tmp_path):
    run = RunFolder(tmp_path / "runs" / "dusk-01")
    run.create(small_data)
    run.write_status(state="running", step=7)
    ready._runs.set_runs(list_runs(tmp_path))
    assert ready.banner.isVisible()
    assert "dusk-01 ended unexpectedly at step 7 of 10" in ready.banner.text.text()
    with qtbot.waitSignal(ready.resume_requested) as resume:
        click(qtbot, ready.banner.resume)
    assert resume.args == [run.path]
    click(qtbot, ready.banner.dismiss)
    assert not ready.banner.isVisible()
    ready.bar.fill_menu()
    action = ready.bar.start_menu.actions()[-1]
    with qtbot.waitSignal(ready.resume_requested) as again:
        action.trigger()
    assert again.args == [run.path]


def test_the_rail_hears_of_the_run(ready):
    ready.set_run_state(RunState.RUNNING)
    assert ready.states[-1] is PageState.RUNNING
    ready.set_run_state(RunState.FAILED)
    assert ready.states[-1] is PageState.ATTENTION
    ready.set_run_state(RunState.IDLE)
    assert ready.states[-1] is PageState.READY


@pytest.mark.parametrize("name", ["", "../x", "a ö/b", "nul", "x.", "y" * 300])
def test_a_name_that_is_no_folders_is_explained_and_does_not_start(ready, qtbot, name):
    ready.show()
    assert ready.start.isEnabled()
    ready.run_name.setText(name)
    assert not ready.start.isEnabled()
    assert ready.run_name_note.isVisible()
    assert ready.run_name_note.text() == why_not_a_name(name)
    ready.run_name.setText("dusk")
    assert ready.start.isEnabled()
    assert not ready.run_name_note.isVisible()
