"""Both pages with runs that exist on paper and an inference that the test answers."""

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt

from core.events import Model, Scores
from masktwins_gui.models.dataset import DatasetModel, Holdings, take_stock
from masktwins_gui.models.exports import ExportRow
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.runs import RunInfo, RunsModel
from masktwins_gui.models.services import Prediction
from masktwins_gui.models.states import PageState
from masktwins_gui.pages.export import ExportPage
from masktwins_gui.pages.inspect import InspectPage, scores_from
from tests.masktwins_gui.fakes import SCORES, DirectJobs, FakeInference

BEFORE = Scores(30.0, 50.0, {"road": 20.0, "sky": 40.0}, ())


def run_info(path, *, checkpoints=(("step-000006", 10),), state="stopped", scores=None, best=None):
    return RunInfo(path, state, 10, 10, "", checkpoints, True, False, best, scores or {}, source_steps=4)


@pytest.fixture
def parts(small_data):
    project, dataset, runs, inference = ProjectModel(), DatasetModel(), RunsModel(), FakeInference()
    project.new(small_data)
    dataset.set_holdings(take_stock(small_data.data))
    return project, dataset, runs, inference


@pytest.fixture
def inspect(parts, qtbot):
    project, dataset, runs, inference = parts
    page = InspectPage(project, dataset, runs, DirectJobs(), inference)
    qtbot.addWidget(page)
    page.show()
    return page


@pytest.fixture
def export(parts, qtbot):
    project, dataset, runs, inference = parts
    page = ExportPage(project, dataset, runs, inference)
    page.states = []
    page.state_changed.connect(lambda state, count: page.states.append(state))
    qtbot.addWidget(page)
    page.show()
    return page


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def prediction():
    zeros = np.zeros((64, 96), np.uint8)
    return Prediction(np.zeros((64, 96, 3), np.uint8), zeros, zeros + 1, None, ((9, 9, 9), (8, 8, 8)), ("road", "sky"))


def test_both_pages_are_empty_without_a_run(inspect, export, qtbot):
    for page in (inspect, export):
        assert page.empty.isVisible()
        with qtbot.waitSignal(page.train_requested):
            click(qtbot, page.empty.action)
        with qtbot.waitSignal(page.demo_requested):
            click(qtbot, page.empty.demo)


def test_before_and_after_are_chosen_and_predicted(inspect, parts, tmp_path):
    _, dataset, runs, inference = parts
    runs.set_runs([run_info(tmp_path / "runs" / "a-01")])
    assert inspect.first.currentData().which is Model.SOURCE
    assert inspect.second.currentData().which is Model.TEACHER
    kind, request, (done, failed) = inference.calls[-1]
    assert kind == "predict"
    assert request.image == dataset.pairs("evaluation")[0].image
    assert request.label == dataset.pairs("evaluation")[0].label
    done(prediction())
    assert not inspect.compare.first.image.isNull()
    assert inspect.compare.second.caption == "B · Teacher, newest"
    failed("the checkpoint is damaged", "Traceback")
    assert inspect.compare.first.image.isNull()  # no stale overlay beside the error
    assert inspect.problem.text() == "the checkpoint is damaged"


def test_both_pages_say_that_the_source_only_model_was_best(inspect, export, parts, tmp_path):
    _, _, runs, _ = parts
    runs.set_runs([run_info(tmp_path / "runs" / "a-01", best="source-000004")])
    for box in (inspect.first, export.model_box):
        assert box.itemText(0) == "Source-only, best"
        assert "best" not in " ".join(box.itemText(i) for i in range(1, box.count()))
    runs.set_runs([run_info(tmp_path / "runs" / "a-01", best="step-000006")])
    assert inspect.first.itemText(0) == "Source-only"
    assert "Teacher, best (step 6)" in [export.model_box.itemText(i) for i in range(export.model_box.count())]


def test_the_table_gets_its_colours_when_the_folders_are_listed_late(inspect, parts, tmp_path, small_data):
    _, dataset, runs, _ = parts
    dataset.set_holdings(Holdings())
    scores = {"source": BEFORE.to_json(), "teacher": SCORES.to_json()}
    runs.set_runs([run_info(tmp_path / "runs" / "a-01", state="finished", scores=scores)])
    cell = inspect.panel.scores.index(0, 0)
    assert inspect.panel.scores.data(cell, Qt.ItemDataRole.DecorationRole) is None
    dataset.set_holdings(take_stock(small_data.data))
    assert inspect.panel.scores.data(cell, Qt.ItemDataRole.DecorationRole) is not None


def test_the_choice_follows_a_growing_run_until_it_is_made_by_hand(inspect, parts, tmp_path):
    _, _, runs, _ = parts
    path = tmp_path / "runs" / "a-01"
    runs.set_runs([run_info(path, checkpoints=())])
    assert inspect.second.currentData().which is Model.SOURCE
    runs.set_runs([run_info(path)])
    assert inspect.second.currentData().which is Model.TEACHER
    student = next(i for i in range(inspect.second.count()) if inspect.second.itemData(i).which is Model.STUDENT)
    inspect.second.setCurrentIndex(student)
    inspect.second.activated.emit(student)
    runs.set_runs([run_info(path, checkpoints=(("step-000003", 7), ("step-000006", 10)))])
    assert inspect.second.currentData().which is Model.STUDENT


def test_both_pages_turn_to_a_new_run_unless_one_was_chosen(inspect, export, parts, tmp_path):
    _, _, runs, _ = parts
    a, b, c = (run_info(tmp_path / "runs" / f"{name}-01") for name in "abc")
    runs.set_runs([a])
    runs.set_runs([b, a])
    assert inspect.run.currentText() == export.run_box.currentText() == "b-01"
    for box in (inspect.run, export.run_box):
        box.setCurrentIndex(1)
        box.activated.emit(1)
    runs.set_runs([c, b, a])
    assert inspect.run.currentText() == export.run_box.currentText() == "a-01"
    assert export.folder.path == a.path / "export"


def test_stepping_through_the_images_predicts_each(inspect, parts, qtbot, tmp_path):
    _, dataset, runs, inference = parts
    runs.set_runs([run_info(tmp_path / "runs" / "a-01")])
    qtbot.keyClick(inspect.list, Qt.Key.Key_Down)
    assert inference.calls[-1][1].image == dataset.pairs("evaluation")[1].image
    inspect.filter.setText(dataset.pairs("evaluation")[2].name)
    assert inspect.images.rowCount() == 1
    assert inference.calls[-1][1].image == dataset.pairs("evaluation")[2].image


def test_measuring_fills_the_table_and_can_be_cancelled(inspect, parts, qtbot, tmp_path, small_data):
    _, _, runs, inference = parts
    runs.set_runs([run_info(tmp_path / "runs" / "a-01")])
    click(qtbot, inspect.panel.measure)
    kind, request, (done, _, progress) = inference.calls[-1]
    assert kind == "measure"
    assert (request.images, request.labels) == (small_data.data.evaluation_images, small_data.data.target_labels)
    progress(2, 6)
    assert (inspect.panel.progress.value(), inspect.panel.progress.maximum()) == (2, 6)
    click(qtbot, inspect.panel.cancel)
    assert inference.cancelled == 1
    assert inspect.panel.measure.isVisible()
    click(qtbot, inspect.panel.measure)
    inference.calls[-1][2][0]((BEFORE, SCORES))
    table = inspect.panel.scores
    assert [table.data(table.index(2, column)) for column in range(4)] == ["mean IoU", "30.0", "50.0", "+20.0"]
    assert done is not None


def test_a_finished_run_shows_what_it_has_measured_itself(inspect, parts, tmp_path):
    _, _, runs, _ = parts
    scores = {"source": BEFORE.to_json(), "teacher": SCORES.to_json()}
    runs.set_runs([run_info(tmp_path / "runs" / "a-01", state="finished", scores=scores)])
    assert inspect.panel.scores.rowCount() == 3
    inspect.second.setCurrentIndex(2)  # the student was not measured
    assert inspect.panel.scores.rowCount() == 0
    null = scores_from({"miou": None, "pixel_accuracy": 1, "per_class": {"a": None}})
    assert null is not None
    assert np.isnan(null.per_class["a"])


def test_without_target_labels_there_is_nothing_to_measure(inspect, parts):
    project, dataset, _, _ = parts
    dataset.set_holdings(take_stock(project.config.data.model_copy(update={"target_labels": None})))
    assert not inspect.panel.measure.isEnabled()
    assert not inspect.panel.no_labels.isHidden()


def test_swiping_and_opacity(inspect, parts, qtbot, tmp_path):
    _, _, runs, inference = parts
    runs.set_runs([run_info(tmp_path / "runs" / "a-01")])
    inference.calls[-1][2][0](prediction())
    inspect.opacity.setValue(100)
    assert inspect.compare.first.image.pixelColor(3, 3).red() == 9
    click(qtbot, inspect.swipe)
    assert inspect.compare.swipe.isVisible()
    click(qtbot, inspect.side_by_side)
    assert inspect.compare.first.isVisible()


def test_exporting_asks_for_what_is_ticked(export, parts, qtbot, tmp_path):
    _, dataset, runs, inference = parts
    run = tmp_path / "runs" / "a-01"
    runs.set_runs([run_info(run)])
    assert export.folder.path == run / "export"
    assert export.model_box.currentData().which is Model.TEACHER
    export.formats["pt2"].setChecked(True)
    click(qtbot, export.run)
    kind, request, (done, _, progress) = inference.calls[-1]
    assert kind == "export"
    assert request.formats == ("safetensors", "onnx", "pt2")
    assert request.images == tuple(p.image for p in dataset.to_look_at)
    assert not export.run.isEnabled()
    progress(1, 7)
    done((ExportRow("model.onnx", 10, 1e-6, 1.0, ("a",)),))
    assert export.rows.rowCount() == 1
    assert export.states[-1] is PageState.DONE
    assert export.run.isEnabled()


def test_a_failed_export_ticks_nothing(export, parts, qtbot, tmp_path):
    _, _, runs, inference = parts
    runs.set_runs([run_info(tmp_path / "runs" / "a-01")])
    click(qtbot, export.run)
    inference.calls[-1][2][1]("onnx is missing: pip install onnx", "Traceback")
    assert export.rows.rowCount() == 0
    assert export.verdict.text() == "onnx is missing: pip install onnx"
    assert export.states[-1] is PageState.ATTENTION
    click(qtbot, export.run)
    click(qtbot, export.cancel)
    assert inference.cancelled == 1
    assert "Cancelled" in export.verdict.text()


def test_without_a_format_there_is_nothing_to_do(export, parts, tmp_path):
    _, _, runs, _ = parts
    runs.set_runs([run_info(tmp_path / "runs" / "a-01")])
    for box in export.formats.values():
        box.setChecked(False)
    assert not export.run.isEnabled()


def test_run_elsewhere_names_the_run(export, parts, tmp_path):
    _, _, runs, _ = parts
    run = tmp_path / "with space" / "runs" / "a-01"
    runs.set_runs([run_info(run)])
    text = export.elsewhere.toPlainText()
    assert f"masktwins adapt '{run / 'run.toml'}'" in text
    assert "--weights teacher --checkpoint last" in text
    assert Path(run / "export").as_posix() in text
