import dataclasses

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QFileDialog, QInputDialog, QStyleOptionViewItem

from core.configuration import settings
from core.configuration.config import RunConfig
from core.events import Finished, Measuring
from core.runs.create import why_not_a_name
from core.runs.folder import RunFolder
from masktwins_gui.models.comparison import Comparison
from masktwins_gui.models.dataset import DatasetModel, take_stock
from masktwins_gui.models.history import read_history
from masktwins_gui.models.presets import preset_changes
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.runs import RunsModel, list_runs
from masktwins_gui.models.shown_run import ShownRun
from masktwins_gui.models.states import PageState, RunState
from masktwins_gui.pages.train.page import TrainPage
from tests.masktwins_gui.fakes import ESTIMATE, DirectJobs, preview, step_done


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
    assert "Learning rate: 'fast' is not a number" in ready.problem.text()
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
    assert ready.problem.isVisible()
    assert ready.problem.text() == why_not_a_name(name)
    ready.run_name.setText("dusk")
    assert ready.start.isEnabled()
    assert not ready.problem.isVisible()


# Before, during and after a run ---------------------------------------------------------------------


def test_before_the_first_run_the_page_says_what_to_do(page, small_data, qtbot):
    assert page.main.currentWidget() is page.empty
    assert page.empty.action.text() == "Go to Data"
    with qtbot.waitSignal(page.data_requested):
        click(qtbot, page.empty.action)
    page._dataset.set_holdings(take_stock(small_data.data))
    assert "Pick a preset" in page.empty.text.text()
    page.show_estimate(ESTIMATE)
    assert "about 12 min on cpu" in page.empty.text.text()
    with qtbot.waitSignal(page.start_requested):
        click(qtbot, page.empty.action)


def test_the_measurement_shows_its_figures_and_grows_stale(ready, qtbot):
    with qtbot.waitSignal(ready.measure_requested):
        click(qtbot, ready.bar.measure)
    ready.set_run_state(RunState.MEASURING)
    ready.show_message("building the network")
    card = ready.measure_card
    assert card.isVisible()
    assert card.heading.text() == "building the network"
    with qtbot.waitSignal(ready.stop_requested):
        click(qtbot, card.close_button)
    ready.set_run_state(RunState.MEASURING)
    ready.show_estimate(ESTIMATE)
    ready.set_run_state(RunState.IDLE)
    figures = {name: label.text() for name, label in card._values.items()}
    assert figures == {
        "total": "about 12 min",
        "step": "0.2 s / 0.5 s",
        "memory": "1.5 of 8 GiB",
        "disk": "1 of 64 GiB",
    }
    ready._project.change({"training.batch_size": 5})
    assert "measure again" in card.heading.text()
    click(qtbot, card.close_button)
    assert not card.isVisible()


def test_a_cancelled_measurement_leaves_no_card(ready):
    ready.set_run_state(RunState.MEASURING)
    ready.set_run_state(RunState.STOPPING)
    ready.set_run_state(RunState.IDLE)
    assert not ready.measure_card.isVisible()


@pytest.mark.parametrize(("field", "value"), [("memory_gib", 7.9), ("disk_bytes", 2**37)])
def test_what_does_not_fit_is_marked(ready, field, value):
    ready.show_estimate(dataclasses.replace(ESTIMATE, **{field: value}))
    name = {"memory_gib": "memory", "disk_bytes": "disk"}[field]
    assert ready.measure_card._values[name].property("role") == "error"


def test_until_the_first_step_the_largest_text_says_what_happens(ready, tmp_path):
    ready._shown.begin(tmp_path / "runs" / "dusk-01")
    ready.set_run_state(RunState.PREPARING)
    ready.show_message("counting the classes in 238 source labels")
    assert ready.header.result.text() == "counting the classes in 238 source labels"
    assert ready.header.busy.isVisible()
    ready.set_run_state(RunState.RUNNING)
    ready.show_step(step_done(1))
    assert not ready.header.busy.isVisible()
    ready.show_measuring(Measuring("scoring the teacher", 3, 12))
    assert ready.header.result.text() == "scoring the teacher (3 of 12)"
    assert ready.header.busy.maximum() == 12
    ready.show_step(step_done(2))
    assert ready.header.result.text() == ""
    assert ready.header.title.text() == "dusk-01 · is training"
    ready.set_run_state(RunState.PAUSED)
    assert ready.header.title.text() == "dusk-01 · paused"


@pytest.fixture
def finished(ready, small_data, tmp_path):
    run = RunFolder(tmp_path / "runs" / "dusk-01")
    run.create(small_data)
    checkpoint = run.checkpoint_path(6)
    checkpoint.mkdir()
    (checkpoint / "state.json").write_text("{}")
    scores = {"source": {"miou": 34.8}, "teacher": {"miou": 63.04}}
    run.write_status(state="finished", step=10, scores=scores, result={"verdict": "The adapted model looks better."})
    ready._runs.set_runs(list_runs(tmp_path))
    ready._shown.take(read_history(run.path), (), "The adapted model looks better.")
    return ready


def test_the_result_is_the_largest_text_and_the_next_step_is_offered(finished, qtbot):
    header = finished.header
    assert header.result.text() == "34.8 → 63.0 mIoU"
    assert header.result.font().pointSizeF() >= header.title.font().pointSizeF()
    assert header.result.property("role") == "title"
    assert header.detail.text() == "The adapted model looks better."
    with qtbot.waitSignal(finished.inspect_requested):
        click(qtbot, header.inspect)
    with qtbot.waitSignal(finished.export_requested):
        click(qtbot, header.export)
    assert not header.resume.isVisible()


def test_a_stopped_run_is_resumed_from_the_header(finished, qtbot, tmp_path):
    run = RunFolder(tmp_path / "runs" / "dusk-01")
    run.write_status(state="stopped", step=10)
    finished._runs.set_runs(list_runs(tmp_path))
    with qtbot.waitSignal(finished.resume_requested) as resume:
        click(qtbot, finished.header.resume)
    assert resume.args == [run.path]
    assert finished.header.resume.toolTip() == "It goes on at step 10; nothing is lost."


def test_a_long_message_shifts_nothing(finished):
    before = finished.splitter.geometry(), finished.bar.geometry()
    finished.show_message("a long message " * 40)
    QApplication.processEvents()
    assert (finished.splitter.geometry(), finished.bar.geometry()) == before
    assert finished.message.toolTip().startswith("a long message")


def test_the_next_run_can_take_another_run_s_settings(finished, small_data):
    run = finished._runs.runs[0]
    finished._project.change({"data.source_images": "/elsewhere", "training.batch_size": 7})
    finished._reuse_settings(run)
    config = finished._project.config
    assert config.training == small_data.training
    assert str(config.data.source_images) == "/elsewhere"
    finished._project.undo()
    assert finished._project.config.training.batch_size == 7


def test_settings_and_runs_share_the_left_side(finished):
    finished.bar.show_runs.click()
    assert finished.runs_panel.isVisible()
    assert not finished.bar.show_settings.isChecked()
    finished.bar.show_settings.click()
    assert finished.settings_panel.isVisible()
    finished.bar.show_settings.click()
    assert not finished.left.isVisible()


def test_the_filmstrip_moves_the_cursor_in_the_curves_and_a_click_there_moves_it(finished, small_data):
    for step in (2, 6, 10):
        finished._shown.handle(preview(step, step))
    plot = finished.losses.plot
    assert plot._playhead.value() == 10
    finished.previews.filmstrip.setValue(0)
    assert plot._playhead.value() == 2
    assert finished.previews.views["target"].image.pixelColor(0, 0).red() == 2
    plot.chosen.emit(6.4)
    assert finished.previews.filmstrip.value() == 1
    assert finished.previews.step_label.text() == "step 6"


def test_repeats_are_asked_for_with_a_number(ready, qtbot, monkeypatch):
    monkeypatch.setattr(QInputDialog, "getInt", lambda *_: (3, True))
    ready.bar.fill_menu()
    with qtbot.waitSignal(ready.repeat_requested) as repeat:
        ready.bar.start_menu.actions()[0].trigger()
    assert repeat.args == ["run", 3]


def test_stop_and_keep_the_best_is_there_while_a_run_trains(ready, qtbot):
    assert not ready.bar.stop_best.isEnabled()
    ready.set_run_state(RunState.RUNNING)
    with qtbot.waitSignal(ready.stop_best_requested):
        ready.bar.stop_best.trigger()


def test_curves_are_saved_off_the_gui_thread(finished, tmp_path, monkeypatch):
    finished._shown.losses.add([(1, {"total": 2.0}), (2, {"total": 1.0})])
    for name in ("curves", "picture"):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, name=name: (str(tmp_path / name), ""))
        action = finished.losses.save.menu().actions()[0 if name == "curves" else 1]
        action.trigger()
    assert "total,2,0,1," in (tmp_path / "curves.csv").read_text()
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_the_preset_is_named_only_while_its_settings_stand(page, small_data):
    index = page.preset.findData("quick")
    page.preset.setCurrentIndex(index)
    page.preset.activated.emit(index)
    assert page.preset.currentData() == "quick"
    page._project.change({"training.seed": 5})  # no preset speaks of it
    assert page.preset.currentData() == "quick"
    page._project.undo()
    page._project.undo()
    assert page.preset.currentIndex() == 0
    page._project.redo()
    page.preset.setCurrentIndex(index)
    page._project.change({"training.steps": 7})
    assert page.preset.currentIndex() == 0


def test_start_goes_to_the_field_that_was_refused(ready, qtbot):
    editor = ready.form.editors["training.steps"]
    click(qtbot, ready.form.more)
    refused = ready.form.editors["training.pseudo_label_threshold"]
    refused.line.setText("1.5")
    refused.line.editingFinished.emit()
    editor.setFocus()
    click(qtbot, ready.start)
    assert ready.focusWidget() is refused.line
    assert refused.line.selectedText() == "1.5"
    assert "Confidence threshold" in ready.problem.text()
    assert "from 0" in ready.problem.text()
    assert "training." not in ready.problem.text()
