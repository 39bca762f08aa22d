"""The Qt models keep Qt's rules, before and after they are filled."""

import math
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtTest import QAbstractItemModelTester

from core.dataset.folders import Pair, Problem, Severity
from core.events import Scores
from core.labels import LabelSpace
from core.runs.folder import RunFolder
from masktwins_gui.models.classes import ClassesModel, ScoresModel
from masktwins_gui.models.exports import ExportRow, ExportsModel
from masktwins_gui.models.images import THUMBNAIL, ImagesModel
from masktwins_gui.models.label_document import LabelDocument
from masktwins_gui.models.problems import ProblemsModel
from masktwins_gui.models.runs import RunsModel, list_runs, read_run

SPACE = LabelSpace("two", ("road", "sky"), ((1, 2, 3), (4, 5, 6)))
PROBLEMS = (
    Problem("w", Severity.WARNING, "few images", (Path("a.png"), Path("b.png"))),
    Problem("e", Severity.ERROR, "not an image", (Path("c.png"),)),
)


def watch(model):
    return QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)


def texts(model):
    columns = range(model.columnCount())
    return [[model.data(model.index(row, column)) for column in columns] for row in range(model.rowCount())]


def test_problems_show_errors_first(qapp):
    model = ProblemsModel()
    tester = watch(model)
    model.set_problems(PROBLEMS)
    assert texts(model) == [["✕ Error", "not an image", 1], ["▲ Warning", "few images", 2]]
    assert model.num_errors() == 1
    assert model.paths(1) == (Path("a.png"), Path("b.png"))
    model.set_problems(())
    assert model.rowCount() == 0
    del tester


def test_classes_show_colour_name_and_share(qapp):
    model = ClassesModel()
    tester = watch(model)
    model.set_document(LabelDocument.of(SPACE), {"road": 0.25, "sky": 0.0001})
    assert [row[:2] for row in texts(model)] == [["road", "25.0 %"], ["sky", "< 0.1 %"]]
    assert model.data(model.index(1, 0), Qt.ItemDataRole.DecorationRole) == QColor(4, 5, 6)
    del tester


def test_a_class_is_edited_in_its_cell_and_the_model_waits_for_the_new_document(qapp):
    model = ClassesModel()
    tester = watch(model)
    model.set_document(LabelDocument.of(SPACE))
    sent, refused = [], []
    model.edited.connect(sent.append)
    model.refused.connect(refused.append)
    assert model.setData(model.index(0, model.NAME), "street")
    assert model.rows[0].name == "road"
    model.set_document(sent[-1])
    assert model.rows[0].name == "street"
    assert model.setData(model.index(1, model.MERGED), "street")
    model.set_document(sent[-1])
    assert not model.rows[1].is_class
    assert model.space.classes == ("street",)
    for column, value in ((model.IGNORED, Qt.CheckState.Checked), (model.NAME, "")):
        assert not model.setData(
            model.index(0, column), value, *([Qt.ItemDataRole.CheckStateRole] * (column == model.IGNORED))
        )
    assert len(refused) == 2
    assert "at least one" in refused[0]
    assert not model.flags(model.index(1, model.COUNTS)) & Qt.ItemFlag.ItemIsUserCheckable
    model.editable = False
    assert not model.setData(model.index(0, model.NAME), "way")
    assert not model.flags(model.index(0, model.NAME)) & Qt.ItemFlag.ItemIsEditable
    del tester


def test_scores_show_the_difference_and_the_mean(qapp):
    model = ScoresModel()
    tester = watch(model)
    before = Scores(20.0, 30.0, {"road": 20.0, "sky": math.nan}, ())
    after = Scores(45.0, 60.0, {"road": 50.0, "sky": 40.0}, ())
    model.set_scores(before, after, SPACE.palette)
    assert texts(model) == [
        ["road", "20.0", "50.0", "+30.0"],
        ["sky", "–", "40.0", "–"],
        ["mean IoU", "20.0", "45.0", "+25.0"],
    ]
    model.set_scores(None, None, ())
    assert model.rowCount() == 0
    del tester


def test_images_ask_for_a_thumbnail_once_and_take_no_stale_one(qapp):
    model = ImagesModel()
    tester = watch(model)
    model.set_pairs([Pair(Path(f"{n}.png"), None, n) for n in "abc"])
    wanted = []
    model.wanted.connect(wanted.append)
    first = model.index(0)
    for _ in range(2):
        model.data(first, Qt.ItemDataRole.DecorationRole)
    assert wanted == [] or wanted == [0]  # the tester may have asked before
    image = QImage(THUMBNAIL, QImage.Format.Format_RGB888)
    image.fill(QColor("red"))
    generation = model.generation
    model.set_thumbnail(generation, 0, image)
    shown = model.data(first, Qt.ItemDataRole.DecorationRole).pixmap(THUMBNAIL).toImage()
    assert shown.pixelColor(1, 1) == QColor("red")
    model.set_pairs([Pair(Path("z.png"), None, "z")])
    model.set_thumbnail(generation, 0, image)
    assert (
        model.data(model.index(0), Qt.ItemDataRole.DecorationRole).pixmap(THUMBNAIL).toImage().pixelColor(1, 1).alpha()
        == 0
    )
    model.set_broken(model.generation, 0)
    assert (
        model.data(model.index(0), Qt.ItemDataRole.DecorationRole).pixmap(THUMBNAIL).toImage().pixelColor(0, 0).alpha()
    )
    del tester


def test_exports(qapp):
    model = ExportsModel()
    tester = watch(model)
    model.set_rows([ExportRow("model.onnx", 1_500_000, 2e-6, 1.0, ("a.png", "b.png"))])
    (row,) = texts(model)
    assert row[:3] == ["✓", "model.onnx", "1.5 MB"]
    assert "100.000%" in row[3]
    assert "2.0e-06" in row[3]
    del tester


@pytest.fixture
def runs(small_data, tmp_path):
    for name, state in (("old-01", "finished"), ("dusk-02", "running"), ("dusk-03", "stopped")):
        run = RunFolder(tmp_path / "runs" / name)
        run.create(small_data)
        run.write_status(state=state, step=3)
    (tmp_path / "runs" / "junk").mkdir()
    return tmp_path


def test_runs_are_listed_and_a_crash_is_told_from_a_run_at_work(runs, qapp):
    model = RunsModel()
    tester = watch(model)
    model.set_runs(list_runs(runs))
    by_name = {run.name: run for run in model.runs}
    assert set(by_name) == {"old-01", "dusk-02", "dusk-03"}
    assert by_name["dusk-02"].crashed
    assert by_name["dusk-02"].resumable
    assert by_name["dusk-03"].resumable
    assert not by_name["old-01"].resumable
    with RunFolder(runs / "runs" / "dusk-02").lock():
        held = read_run(runs / "runs" / "dusk-02")
        assert held is not None
        assert not held.crashed
    assert "ended unexpectedly, 3 / 10" in model.state_text(by_name["dusk-02"])
    del tester


def test_a_run_whose_configuration_is_broken_is_left_out(runs):
    (runs / "runs" / "dusk-03" / "run.toml").write_text("[[[")
    assert {run.name for run in list_runs(runs)} == {"old-01", "dusk-02"}


def test_the_score_of_a_run_is_that_of_the_checkpoint_that_was_kept(runs):
    run = RunFolder(runs / "runs" / "dusk-03")
    checkpoint = run.checkpoint_path(4)
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text("{}")
    total = 4 + run.config().training.source_steps
    run.metrics_path.write_text(f"step,teacher_miou\n{total},61.5\n99,40.0\n")
    scores = {"source": {"miou": 30.0}, "teacher": {"miou": 40.0}}
    run.write_status(scores=scores, chosen_checkpoint=None)
    assert read_run(run.path).outcome.in_words() == "30.0 → 40.0"
    run.write_status(chosen_checkpoint="step-000004")
    assert read_run(run.path).outcome.in_words() == "30.0 → 61.5"
    assert read_run(run.path).chosen == "step-000004"
