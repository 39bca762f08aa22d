"""The Export page with runs that exist on paper, and an inference that the test answers."""

from pathlib import Path

import pytest

from core.events import Model
from masktwins_gui.models.dataset import DatasetModel, take_stock
from masktwins_gui.models.exports import ExportRow, FileState
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.runs import RunsModel
from masktwins_gui.models.services import Exported
from masktwins_gui.models.states import PageState
from masktwins_gui.pages.export import ExportPage
from tests.masktwins_gui.fakes import FakeInference
from tests.masktwins_gui.pages.desk import click, run_info

DONE = Exported((ExportRow("model.onnx", 10, 1e-6, 1.0, ("a",)),), ("MIT", "unknown"), "CPU")


@pytest.fixture
def parts(small_data):
    project, dataset, runs, inference = ProjectModel(), DatasetModel(), RunsModel(), FakeInference()
    project.new(small_data)
    dataset.set_holdings(take_stock(small_data.data))
    return project, dataset, runs, inference


@pytest.fixture
def export(parts, qtbot):
    project, dataset, runs, inference = parts
    page = ExportPage(project, dataset, runs, inference)
    page.states = []
    page.state_changed.connect(lambda state, count: page.states.append(state))
    qtbot.addWidget(page)
    page.show()
    return page


def test_without_a_run_it_says_what_to_do(export, qtbot):
    assert export.empty.isVisible()
    with qtbot.waitSignal(export.train_requested):
        click(qtbot, export.empty.action)


def test_it_turns_to_a_new_run_unless_one_was_chosen(export, parts, tmp_path):
    _, _, runs, _ = parts
    a, b, c = (run_info(tmp_path / "runs" / f"{name}-01") for name in "abc")
    runs.set_runs([a])
    runs.set_runs([b, a])
    assert export.picker.run.currentText() == "b-01"
    export.picker.run.setCurrentIndex(1)
    export.picker.run.activated.emit(1)
    runs.set_runs([c, b, a])
    assert export.picker.run.currentText() == "a-01"
    assert export.folder.path == a.path / "export"


def test_the_best_checkpoints_are_offered(export, parts, tmp_path):
    checkpoints = (("step-000003", 7), ("step-000006", 10))
    best = {"miou": "step-000003", "health": "step-000006"}
    parts[2].set_runs([run_info(tmp_path / "runs" / "a-01", checkpoints=checkpoints, best_by=best)])
    offered = [export.picker.model.itemText(index) for index in range(export.picker.model.count())]
    assert "Teacher, best mIoU (step 3)" in offered
    assert "Teacher, best health (step 6)" in offered
    assert export.picker.choice.which is Model.TEACHER


def test_it_asks_for_what_is_ticked_with_all_target_images(export, parts, qtbot, tmp_path):
    _, dataset, runs, inference = parts
    run = tmp_path / "runs" / "a-01"
    runs.set_runs([run_info(run)])
    export.formats["pt2"].setChecked(True)
    click(qtbot, export.run)
    kind, request, _ = inference.calls[-1]
    assert kind == "export"
    assert request.formats == ("safetensors", "onnx", "pt2")
    assert request.images == tuple(p.image for p in dataset.to_look_at)  # an even spread is taken of them
    assert not export.run.isEnabled()


def test_each_file_says_how_far_it_is_and_is_ticked_when_verified(export, parts, qtbot, tmp_path):
    parts[2].set_runs([run_info(tmp_path / "runs" / "a-01")])
    click(qtbot, export.run)
    done, _, progress = parts[3].calls[-1][2]
    states = lambda: [row.state for row in export.rows.rows]  # noqa: E731
    assert states() == [FileState.WRITING, FileState.WAITING]
    progress(1, 5)
    assert states() == [FileState.COMPARING, FileState.WAITING]
    progress(3, 5)
    assert states() == [FileState.COMPARED, FileState.COMPARING]
    assert [export.rows.data(export.rows.index(row, 0)) for row in range(2)] == ["", ""]
    done(DONE)
    assert export.rows.data(export.rows.index(0, 0)) == "✓"
    assert export.states[-1] is PageState.DONE
    assert export.verdict.text() == "1 files written, loaded again and compared on CPU"
    assert export.licences.text() == "Licences: code MIT; starting weights unknown"
    assert export.run.isEnabled()


def test_another_model_forgets_the_figures(export, parts, qtbot, tmp_path):
    parts[2].set_runs([run_info(tmp_path / "runs" / "a-01")])
    click(qtbot, export.run)
    parts[3].calls[-1][2][0](DONE)
    export.picker.model.setCurrentIndex(2)
    assert export.rows.rowCount() == 0
    assert export.verdict.text() == ""


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
    assert export.rows.rowCount() == 0


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
