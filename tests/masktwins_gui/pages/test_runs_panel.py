"""The list of runs and what can be done with them."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QLineEdit, QMessageBox

from core.configuration import settings
from core.errors import RunError
from core.runs.folder import RunFolder
from core.runs.notes import Notes, read_notes, write_notes
from masktwins_gui.models import run_edits
from masktwins_gui.models.run_edits import RunEdits, move_to_trash
from masktwins_gui.models.runs import RunsModel, list_runs
from masktwins_gui.pages.train.runs import RunsPanel
from masktwins_gui.workers.jobs import JobPool


@pytest.fixture
def project(small_data, tmp_path):
    for name, state, steps in (("a-01", "finished", 6), ("b-01", "stopped", 60)):
        run = RunFolder(tmp_path / "runs" / name)
        run.create(settings.with_changes(small_data, {"training.steps": steps}))
        scores = {"source": {"miou": 34.8}, "teacher": {"miou": 63.0}} if state == "finished" else {}
        run.write_status(state=state, step=4, scores=scores)
    return tmp_path


@pytest.fixture
def panel(qtbot, project):
    jobs, runs = JobPool(), RunsModel()
    edits = RunEdits(jobs)
    panel = RunsPanel(runs, edits)
    panel.tester = QAbstractItemModelTester(runs, QAbstractItemModelTester.FailureReportingMode.Fatal)

    def read_again():
        runs.set_runs(list_runs(project))

    edits.done.connect(read_again)
    read_again()
    qtbot.addWidget(panel)
    panel.resize(300, 600)
    panel.show()
    yield panel
    qtbot.waitUntil(lambda: not jobs.busy)
    jobs.close()


def choose(panel, name):
    row = next(i for i, run in enumerate(panel._runs.runs) if run.name == name)
    panel.list.setCurrentIndex(panel._runs.index(row))
    return panel._runs.runs[row]


def test_choosing_a_run_asks_for_it(panel, qtbot):
    choose(panel, "a-01")
    with qtbot.waitSignal(panel.chosen) as chosen:
        choose(panel, "b-01")
    assert chosen.args[0].name == "b-01"


def test_the_list_says_what_the_lines_say(panel):
    texts = {
        run.name: panel._runs.data(panel._runs.index(i), Qt.ItemDataRole.AccessibleTextRole)
        for i, run in enumerate(panel._runs.runs)
    }
    assert "34.8 → 63.0 mIoU" in texts["a-01"]
    assert "finished, 4 / 10" in texts["a-01"]
    assert "Adaptation steps 6 → 60" in texts["b-01"] + texts["a-01"] or "60 → 6" in texts["b-01"] + texts["a-01"]
    assert panel.list.grab().height() > 0  # the delegate paints


def test_a_run_is_renamed_in_the_list_and_its_folder_keeps_its_name(panel, qtbot, project):
    run = choose(panel, "a-01")
    panel.rename.click()
    editor = panel.list.findChild(QLineEdit)
    assert editor.text() == "a-01"
    editor.setText("dusk, large blocks")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: panel._runs.find(run.path).title == "dusk, large blocks")
    assert read_notes(run.path).label == "dusk, large blocks"
    assert run.path.is_dir()
    choose(panel, "a-01")
    panel._runs.setData(panel.list.currentIndex(), "")
    qtbot.waitUntil(lambda: panel._runs.find(run.path).title == "a-01")


def test_a_note_is_saved_when_the_field_is_left(panel, qtbot):
    run = choose(panel, "a-01")
    panel.note.setFocus()
    panel.note.setPlainText("<b>too dark</b>")
    panel.list.setFocus()
    qtbot.waitUntil(lambda: read_notes(run.path).note == "<b>too dark</b>")
    qtbot.waitUntil(lambda: panel._runs.find(run.path).notes.note != "")
    tip = panel._runs.data(panel.list.currentIndex(), Qt.ItemDataRole.ToolTipRole)
    assert "<b>" not in tip
    choose(panel, "b-01")
    assert panel.note.toPlainText() == ""
    choose(panel, "a-01")
    assert panel.note.toPlainText() == "<b>too dark</b>"


def test_a_note_goes_with_its_run_when_another_is_chosen(panel, qtbot):
    first, second = choose(panel, "b-01"), None
    panel.note.setPlainText("of b")
    second = choose(panel, "a-01")
    qtbot.waitUntil(lambda: read_notes(first.path).note == "of b")
    assert read_notes(second.path).note == ""


def test_deleting_asks_and_moves_the_folder_to_the_trash(panel, qtbot, monkeypatch):
    moved = []
    monkeypatch.setattr(run_edits, "move_to_trash", moved.append)
    run = choose(panel, "a-01")
    panel.delete.click()
    box = panel.findChild(QMessageBox, "train.runs.delete_question")
    box.buttons()[0].click() if box.buttonRole(box.buttons()[0]) == QMessageBox.ButtonRole.AcceptRole else box.accept()
    qtbot.waitUntil(lambda: moved == [run.path])


def test_a_run_that_trains_is_neither_deleted_nor_resumed(panel, project):
    choose(panel, "b-01")
    assert panel.resume.isEnabled()
    path = project / "runs" / "b-01"
    panel.set_trains(path)
    assert not panel.resume.isEnabled()
    assert not panel.delete.isEnabled()
    assert "being trained" in panel.delete.toolTip()
    RunFolder(path).write_status(state="running")
    with RunFolder(path).lock():
        panel._runs.set_runs(list_runs(project))
        choose(panel, "b-01")
        panel.set_trains(None)
        assert not panel.delete.isEnabled()  # by another process
        with pytest.raises(RunError, match="being trained"):
            move_to_trash(path)
    assert path.is_dir()


def test_the_trash_takes_the_whole_folder(project, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    path = project / "runs" / "a-01"
    try:
        move_to_trash(path)
    except RunError as error:
        assert "could not be moved to the trash" in str(error)  # a machine without one
        assert path.is_dir()
    else:
        assert not path.exists()


def test_ticked_runs_are_compared_until_the_comparison_ends(panel, qtbot):
    model = panel._runs
    for row in range(2):
        assert model.setData(model.index(row), Qt.CheckState.Checked, Qt.ItemDataRole.CheckStateRole)
    assert len(model.ticked) == 2
    assert panel.untick.isVisible()
    panel.untick.click()
    assert model.ticked == ()
    assert not panel.untick.isVisible()


def test_the_folder_is_opened(panel, monkeypatch):
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    run = choose(panel, "a-01")
    panel.folder.click()
    assert opened[0].toLocalFile() == str(run.path)


def test_the_offer_to_resume_says_what_is_lost(panel, qtbot, project):
    path = project / "runs" / "b-01"
    checkpoint = RunFolder(path).checkpoint_path(0, source=True)
    for folder in (RunFolder(path).checkpoint_path(1),):
        folder.mkdir()
        (folder / "state.json").write_text("{}")
    assert not checkpoint.exists()
    RunFolder(path).metrics_path.write_text("step,total,seconds_per_step\n9,1.0,30.0\n")
    RunFolder(path).write_status(state="running", step=8)
    panel._runs.set_runs(list_runs(project))
    run = choose(panel, "b-01")
    assert (run.crashed, run.step, run.saved_step, run.lost_steps) == (True, 9, 5, 4)
    assert panel.resume.toolTip() == (
        "It goes on at step 5, its newest checkpoint; 4 steps are made again (about 2 min)."
    )


def test_a_status_that_makes_no_sense_hides_no_run(project):
    (project / "runs" / "a-01" / "status.json").write_text('{"step": "many", "scores": 3}')
    assert {run.name for run in list_runs(project)} == {"a-01", "b-01"}
    write_notes(project / "runs" / "b-01", Notes("x"))
    assert "x" in {run.title for run in list_runs(project)}
