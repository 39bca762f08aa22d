import shutil
import threading
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QComboBox

from core.configuration.sections import DataConfig
from masktwins_gui.models.dataset import DatasetModel
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.states import PageState, RunState
from masktwins_gui.pages import data as data_module
from masktwins_gui.pages.data import DataPage
from masktwins_gui.widgets.file_list import FileListDialog
from masktwins_gui.workers.jobs import JobPool


@pytest.fixture
def jobs(qapp):
    pool = JobPool()
    yield pool
    pool.close()


@pytest.fixture
def page(qtbot, jobs):
    page = DataPage(ProjectModel(), DatasetModel(), jobs)
    page.states = []
    page.state_changed.connect(lambda state, count: page.states.append((state, count)))
    qtbot.addWidget(page)
    page.show()
    return page


def checked(qtbot, page):
    qtbot.waitUntil(lambda: page._dataset.report is not None)


def test_an_empty_page_offers_the_demo(page, qtbot):
    assert page.empty.isVisible()
    with qtbot.waitSignal(page.demo_requested):
        qtbot.mouseClick(page.empty.demo, Qt.MouseButton.LeftButton)


def test_one_folder_brings_its_neighbours_and_the_check(page, qtbot, small_data):
    qtbot.keyClicks(page.fields["source_images"].line, str(small_data.data.source_images))
    qtbot.keyClick(page.fields["source_images"].line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: page._project.config.data.source_images is not None)  # a job reads the neighbours' names
    chosen = page._project.config.data
    assert chosen.source_labels == small_data.data.source_labels
    assert chosen.target_images == small_data.data.target_images
    assert chosen.target_labels == small_data.data.target_labels
    checked(qtbot, page)
    assert page.fields["source_images"].note.text() == "6 images"
    assert page.fields["target_labels"].note.text() == "3 labels · proposed"
    assert page.problems.num_errors() == 0
    assert page.states[-1][0] in (PageState.DONE, PageState.ATTENTION)
    assert page.class_panel.model.rowCount() == page._dataset.holdings.space.num_classes
    shares = [
        page.class_panel.model.data(page.class_panel.model.index(row, 1))
        for row in range(page.class_panel.model.rowCount())
    ]
    assert any(share.endswith("%") for share in shares)
    assert page.domains._cells["images", 1].text() == "6"
    page._project.undo()  # one choice, one undo
    assert page._project.config.data == DataConfig()
    qtbot.waitUntil(lambda: page.empty.isVisible())


def test_a_chosen_folder_is_not_replaced_by_a_proposal(page, qtbot, small_data, tmp_path):
    page.choose("target_images", tmp_path)
    page.choose("source_images", small_data.data.source_images)
    data = lambda: page._project.config.data  # noqa: E731
    qtbot.waitUntil(lambda: data().source_images == small_data.data.source_images and data().target_images == tmp_path)
    assert data().source_labels == small_data.data.source_labels
    assert "source_labels" in page._proposed
    assert not page._proposed & {"source_images", "target_images"}


def test_a_missing_folder_is_a_problem(page, qtbot, small_data, tmp_path):
    page._project.change({"data.source_images": tmp_path / "gone", "data.target_images": small_data.data.target_images})
    qtbot.waitUntil(lambda: page.problems.num_errors() > 0)
    assert page.fields["source_images"].note.text() == "not found"
    assert "gone" in page.problems.rows[0].message
    assert page.states[-1][0] is PageState.ATTENTION
    assert not page.check_button.isEnabled()


def test_a_damaged_image_blocks_and_its_files_are_shown(page, qtbot, small_data, tmp_path):
    images = tmp_path / "images"
    shutil.copytree(small_data.data.source_images, images)
    broken = sorted(images.iterdir())[0]
    broken.write_bytes(b"no image at all")
    page._project.change({"data.source_images": images, "data.source_labels": small_data.data.source_labels,
                          "data.target_images": small_data.data.target_images})  # fmt: skip
    checked(qtbot, page)
    assert page._dataset.num_errors == 1
    assert "block" in page.problem_panel.verdict.text()
    page.problem_panel.table.setCurrentIndex(page.problems.index(0, 0))
    assert page.problem_panel.files.isEnabled()
    qtbot.mouseClick(page.problem_panel.files, Qt.MouseButton.LeftButton)
    dialog = page.findChild(FileListDialog)
    assert str(broken) in [dialog.list.item(i).text() for i in range(dialog.list.count())]
    dialog.close()


def test_the_check_can_be_cancelled(page, qtbot, small_data):
    changes = {f"data.{name}": value for name, value in small_data.data if value is not None}
    page._project.change(changes)
    qtbot.waitUntil(lambda: page._dataset.complete)
    page.check()
    assert page.cancel_button.isVisible()
    qtbot.mouseClick(page.cancel_button, Qt.MouseButton.LeftButton)
    assert not page.progress.isVisible()
    assert page._dataset.report is None
    assert page.problem_panel.verdict.text() == "Not checked yet."
    qtbot.mouseClick(page.check_button, Qt.MouseButton.LeftButton)
    checked(qtbot, page)


def test_thumbnails_are_made_off_the_gui_thread(page, qtbot, small_data):
    page._project.change({"data.target_images": small_data.data.target_images})
    images = page.thumbnails.images
    qtbot.waitUntil(lambda: images.rowCount() == 6)
    qtbot.waitUntil(lambda: len(images._pictures) > 0)
    assert page.thumbnails.role.currentText() == "Target"


def test_how_crops_are_drawn_needs_no_new_check(page, qtbot, small_data):
    page._project.change({f"data.{name}": value for name, value in small_data.data})
    checked(qtbot, page)
    report = page._dataset.report
    assert page._dataset.suggestions[page._project.config.training.crop_hw] == report.suggestion
    page.form.editors["data.rare_class_sampling"].box.setChecked(True)
    assert page._project.config.data.rare_class_sampling
    assert page._dataset.report is report
    assert "data.source_images" not in page.form.editors
    page.form.editors["data.label_space"].line.setText("cityscapes")
    page.form.editors["data.label_space"].line.editingFinished.emit()
    qtbot.waitUntil(lambda: page._dataset.report is None)


def test_the_folders_are_fixed_while_a_run_trains(page):
    page.set_run_state(RunState.RUNNING)
    assert not page.fields["source_images"].isEnabled()
    assert not page.form.editors["data.flip"].isEnabled()
    page.set_run_state(RunState.IDLE)
    assert page.fields["source_images"].isEnabled()
    assert page.form.editors["data.flip"].isEnabled()


def test_listing_is_shown_while_it_takes_its_time(page, qtbot, small_data, monkeypatch):
    released = threading.Event()
    listing = data_module.take_stock
    monkeypatch.setattr(data_module, "take_stock", lambda data: released.wait(60) and listing(data))
    page._project.change({f"data.{name}": value for name, value in small_data.data})
    qtbot.waitUntil(lambda: page.stack.currentWidget() is page.listing)
    assert not page.empty.isVisible()
    assert page.problem_panel.verdict.text() == "Listing the folders …"
    assert page.fields["source_images"].note.text() == "listing …"
    assert page.states[-1][0] is PageState.RUNNING
    released.set()
    qtbot.waitUntil(lambda: page.stack.currentWidget() is page.content)
    assert page.fields["source_images"].note.text() == "6 images"


def test_listing_that_fails_is_said(page, qtbot, small_data, monkeypatch):
    def fail(data):
        raise OSError("the drive is gone")

    monkeypatch.setattr(data_module, "take_stock", fail)
    page._project.change({"data.source_images": small_data.data.source_images})
    qtbot.waitUntil(lambda: page.problem_panel.verdict.text() == "the drive is gone")
    assert page.stack.currentWidget() is page.empty
    assert page.states[-1][0] is PageState.ATTENTION


def test_a_new_project_is_offered_settings_that_fit(page, qtbot, small_data):
    page._project.change({f"data.{name}": value for name, value in small_data.data})
    checked(qtbot, page)
    assert not page.advice.isVisible()  # the device is not known yet
    page._dataset.set_device("cpu")
    assert page.advice.isVisible()
    assert "crop 64 px" in page.advice.heading.text()
    assert "64 px on their shorter side" in page.advice.reason.text()
    qtbot.mouseClick(page.advice.apply, Qt.MouseButton.LeftButton)
    config = page._project.config
    assert (config.training.crop_size, config.training.batch_size, config.mask.block_size) == (64, 8, 4)
    assert not page.advice.isVisible()
    page._project.undo()
    assert page._project.config.training.crop_size == 512
    assert page.advice.isVisible()
    page._project.change({"training.steps": 77})  # whoever has chosen needs no suggestion
    assert not page.advice.isVisible()


@pytest.fixture
def with_data(page, qtbot, small_data, tmp_path):
    page._project.change({f"data.{name}": value for name, value in small_data.data})
    page._project.path = tmp_path / "project" / "p.toml"
    checked(qtbot, page)
    return page


def test_an_edited_class_table_is_saved_beside_the_project_and_undone(with_data, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr("masktwins_gui.models.project.MERGE_SECONDS", 0)  # a person is slower than a test
    page = with_data
    model = page.class_panel.model
    names = [row.name for row in model.rows]
    before = page._project.config.data.label_space
    assert model.setData(model.index(0, model.MERGED), names[1])
    qtbot.waitUntil(lambda: not model.rows[0].is_class)
    stated = page._project.config.data.label_space
    assert Path(stated).parent == tmp_path / "project" / "label_spaces"
    checked(qtbot, page)
    assert page._dataset.holdings.space.classes == tuple(names[1:])
    assert model.rows[0].merged_into == names[1]
    model.colour(1, QColor(1, 2, 3))
    qtbot.waitUntil(lambda: model.rows[1].colour == (1, 2, 3))
    assert not model.rows[0].is_class  # the second edit builds on the first
    page._project.undo()
    qtbot.waitUntil(lambda: model.rows[1].colour != (1, 2, 3))
    page._project.undo()
    qtbot.waitUntil(lambda: model.rows[0].is_class)
    assert page._project.config.data.label_space == before


def test_merging_by_keyboard(with_data, qtbot):
    panel = with_data.class_panel
    with_data.tabs.setCurrentWidget(panel)
    panel.table.setCurrentIndex(panel.model.index(0, panel.model.MERGED))
    panel.table.setFocus()
    qtbot.keyClick(panel.table, Qt.Key.Key_F2)
    box = panel.table.findChild(QComboBox)
    qtbot.keyClick(box, Qt.Key.Key_Down)
    chosen = box.currentText()
    qtbot.keyClick(box, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: panel.model.rows[0].merged_into == chosen)


def test_a_refused_edit_says_why(with_data):
    panel = with_data.class_panel
    assert not panel.model.setData(panel.model.index(0, panel.model.NAME), panel.model.rows[1].name)
    assert "twice" in panel.message.text()


def test_a_fix_changes_the_mapping_and_is_undone(page, qtbot, small_data):
    data = small_data.data
    page._project.change({**{f"data.{name}": value for name, value in data},
                          "data.source_images": data.source_labels, "data.source_labels": data.source_images})  # fmt: skip
    checked(qtbot, page)
    assert page._dataset.num_errors
    qtbot.waitUntil(lambda: page.problem_panel.fix.isEnabled())
    assert "→ Exchange the folders" in page.problems.data(page.problem_panel.table.currentIndex().siblingAtColumn(1))
    qtbot.mouseClick(page.problem_panel.fix, Qt.MouseButton.LeftButton)
    assert page._project.config.data.source_images == data.source_images
    qtbot.waitUntil(lambda: page._dataset.report is not None and not page._dataset.num_errors)
    assert not any("Exchange" in fix.title for fix in page.problems.fixes.values())
    page._project.undo()
    assert page._project.config.data.source_images == data.source_labels


def test_how_files_were_paired_is_said(with_data):
    assert "of 6 images" in with_data.thumbnails.pairing.text()
    with_data.thumbnails.role.setCurrentIndex(with_data.thumbnails.role.findData("target"))
    assert not with_data.thumbnails.pairing.isVisible()


def test_a_run_keeps_classes_and_data(with_data):
    with_data.set_run_state(RunState.RUNNING)
    assert not with_data.class_panel.model.editable
    assert not with_data.class_panel.colour.isEnabled()


def test_a_fix_of_the_crop_is_checked_again(with_data, qtbot):
    page = with_data
    qtbot.waitUntil(lambda: bool(page.problems.fixes))  # 512 pixels of images of 64
    first = page._dataset.report
    row = next(row for row in range(page.problems.rowCount()) if page.problems.fix(row))
    page.problem_panel.table.selectRow(row)
    qtbot.mouseClick(page.problem_panel.fix, Qt.MouseButton.LeftButton)
    assert page._project.config.training.crop_size == 64
    qtbot.waitUntil(lambda: page._dataset.report is not first)
    assert not any(problem.code == "image_smaller_than_crop" for problem in page.problems.rows)
