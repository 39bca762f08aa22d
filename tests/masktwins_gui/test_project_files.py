"""Projects that another program changes, that are damaged, or whose data have moved: as a user meets them."""

import shutil
import zipfile

import pytest
from PySide6.QtWidgets import QMessageBox

from core.configuration import settings
from core.configuration.projects import backup_of
from core.runs.create import create_run
from core.runs.folder import RunFolder
from masktwins_gui.widgets.error_dialog import ErrorDialog
from masktwins_gui.widgets.locate_data import LocateData
from tests.core.test_old_formats import FORMAT_1


@pytest.fixture
def answer(monkeypatch):
    """Press the button of this text in the next message box; what the boxes said is collected."""
    said = []

    def choose(text):
        def press(box):
            said.append(f"{box.text()} {box.informativeText()}")
            button = next(b for b in box.buttons() if b.text().replace("&", "") == text)
            button.click()
            return box.standardButton(button)

        monkeypatch.setattr(QMessageBox, "exec", press)
        return said

    return choose


def block_size(path):
    return settings.load(path).mask.block_size


@pytest.fixture
def two_windows(make_window, project_file):
    """A window with a change, on a project that another one has changed meanwhile."""
    window, other = make_window(), make_window()
    assert window.files.open(project_file)
    assert other.files.open(project_file)
    window.project.change({"mask.block_size": 4})
    other.project.change({"mask.block_size": 2})
    assert other.files.save()
    return window


def test_the_second_window_keeps_its_version_when_told_to(two_windows, project_file, answer):
    said = answer("Keep mine")
    assert two_windows.files.save()
    assert "changed by another window" in said[0]
    assert block_size(project_file) == 4
    assert block_size(backup_of(project_file)) == 2
    assert not two_windows.project.modified


def test_the_second_window_can_take_the_other_version(two_windows, project_file, answer):
    answer("Reload")
    assert not two_windows.files.save()
    assert two_windows.project.config.mask.block_size == 2
    assert block_size(project_file) == 2


def test_the_second_window_can_leave_it(two_windows, project_file, answer):
    answer("Cancel")
    assert not two_windows.files.save()
    assert two_windows.project.config.mask.block_size == 4
    assert block_size(project_file) == 2


def test_where_nobody_can_be_asked_both_versions_are_kept(two_windows, project_file):
    assert two_windows.files.keep()
    assert block_size(project_file) == 2
    assert two_windows.project.path == project_file.with_stem("project-mine")
    assert block_size(two_windows.project.path) == 4


def test_a_command_that_writes_the_same_settings_is_no_conflict(make_window, project_file):
    window = make_window()
    assert window.files.open(project_file)
    project_file.write_text(project_file.read_text() + "\n# a comment\n")
    window.project.change({"mask.block_size": 4})
    assert window.files.save()
    assert block_size(project_file) == 4


def test_a_save_keeps_the_version_before_it(make_window, project_file):
    window = make_window()
    assert window.files.open(project_file)
    for size in (4, 2):
        window.project.change({"mask.block_size": size})
        assert window.files.save()
    assert (block_size(project_file), block_size(backup_of(project_file))) == (2, 4)


@pytest.mark.parametrize("content", [b"", b"format_version = 1\n[mask]\nrat", b"\0" * 600])
def test_a_damaged_project_is_opened_from_its_backup(make_window, project_file, answer, content):
    settings.save(settings.load(project_file), backup_of(project_file))
    project_file.write_bytes(content)
    window = make_window()
    said = answer("Open")
    assert window.files.open(project_file)
    assert "project.toml.bak" in said[0]
    assert window.project.path == project_file
    assert window.project.modified
    before = backup_of(project_file).read_bytes()
    assert window.files.save()
    assert block_size(project_file) == 8
    assert backup_of(project_file).read_bytes() == before  # the damaged file has not replaced it


def test_an_empty_file_never_opens_as_a_project_of_defaults(make_window, tmp_path):
    (tmp_path / "empty.toml").write_text("")
    window = make_window()
    assert not window.files.open(tmp_path / "empty.toml")
    dialog = window.findChild(ErrorDialog)
    assert "format_version" in dialog.message.text()
    dialog.close()


def locate(window, qtbot):
    qtbot.waitUntil(lambda: window.findChild(LocateData) is not None)
    return window.findChild(LocateData)


def test_a_project_and_its_runs_are_pointed_to_data_that_moved(make_window, qtbot, small_data, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(small_data.data.source_images.parents[1], data)
    old = small_data.data.source_images.parents[1]
    place = {name: str(data / getattr(small_data.data, name).relative_to(old)) for name in (
        "source_images", "source_labels", "target_images", "target_labels", "evaluation_images")}  # fmt: skip
    config = settings.with_changes(small_data, {f"data.{name}": path for name, path in place.items()})
    project = tmp_path / "project" / "p.toml"
    project.parent.mkdir()
    settings.save(config, project)
    run = create_run(config, project.parent / "runs" / "p-01")
    data.rename(tmp_path / "big disk")

    window = make_window()
    assert window.files.open(project)
    dialog = locate(window, qtbot)
    assert str(place["source_images"]) in dialog.message.text()
    assert not dialog.accept_button.isEnabled()
    dialog.folder._choose(tmp_path / "big disk" / "source" / "images")
    assert str(data) in dialog.effect.text()
    dialog.accept_button.click()
    qtbot.waitUntil(lambda: not window.controller.jobs.busy)
    assert window.project.config.data.target_labels == tmp_path / "big disk" / (
        small_data.data.target_labels.relative_to(old)
    )
    assert run.config().data.source_images == tmp_path / "big disk" / "source" / "images"
    assert window.findChild(ErrorDialog) is None
    window.project.undo()
    assert window.project.config == config


def test_a_folder_that_holds_nothing_of_it_is_reported(make_window, qtbot, project_file, small_data, tmp_path):
    settings.save(settings.with_changes(small_data, {"data.source_images": str(tmp_path / "gone")}), project_file)
    window = make_window()
    assert window.files.open(project_file)
    dialog = locate(window, qtbot)
    dialog.folder._choose(tmp_path / "also gone")
    dialog.accept_button.click()
    qtbot.waitUntil(lambda: window.findChild(ErrorDialog) is not None)
    assert str(tmp_path / "gone") in window.findChild(ErrorDialog).message.text()
    window.findChild(ErrorDialog).close()


def test_a_run_of_format_1_in_a_moved_project_is_pointed_to_the_projects_data(make_window, qtbot, tmp_path):
    with zipfile.ZipFile(FORMAT_1) as archive:
        archive.extractall(tmp_path)
    street = tmp_path / "street"
    window = make_window()
    assert window.files.open(street / "street.toml")
    dialog = locate(window, qtbot)
    assert "street-01" in dialog.message.text()
    assert dialog.folder.path == street / "data/source/images"
    dialog.accept_button.click()
    run = RunFolder(street / "runs" / "street-01")
    qtbot.waitUntil(lambda: run.config().data.source_images == street / "data/source/images")
    qtbot.waitUntil(lambda: not window.controller.jobs.busy)
    assert not window.project.modified
    assert run.config().data.target_labels == street / "data/target/labels"
