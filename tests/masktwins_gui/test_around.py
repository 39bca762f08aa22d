"""What is around the pages: guide, settings, report, errors of threads, sleep, the notice at the end of a run."""

import logging
import os
import sys
import threading
from types import SimpleNamespace

import pytest
from PySide6.QtCore import QSettings, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication, QTextDocument
from PySide6.QtWidgets import QApplication, QFileDialog, QSystemTrayIcon, QWidget

from core.events import Finished
from core.runs.folder import RunFolder
from masktwins_gui import awake, recent_log, reporting, theme
from masktwins_gui.app import Application
from masktwins_gui.main_window import CHAPTERS
from masktwins_gui.models import guide
from masktwins_gui.models.preferences import CACHE_VARIABLE, Preferences
from masktwins_gui.models.states import RunState
from masktwins_gui.notice import Notice
from masktwins_gui.widgets.help_window import HelpWindow
from masktwins_gui.widgets.report_dialog import ReportDialog
from masktwins_gui.widgets.settings_dialog import SettingsDialog
from tests.masktwins_gui.fakes import FakeEngine

# The guide -------------------------------------------------------------------------------------


@pytest.fixture
def help_window(qtbot):
    window = HelpWindow()
    qtbot.addWidget(window)
    window.show()
    return window


def test_every_chapter_is_listed_and_shown(help_window):
    names = [name for name, _ in guide.chapters()]
    assert set(CHAPTERS.values()) <= set(names)
    assert help_window.list.count() == len(names) + 1
    for name in names:
        help_window.show_chapter(name)
        assert help_window.text.toPlainText().splitlines()[0] in guide.text(name)
        assert help_window.list.currentItem().data(Qt.ItemDataRole.UserRole) == name


def test_links_between_chapters_work(help_window):
    help_window.show_chapter("contents")
    help_window.text.anchorClicked.emit(QUrl("data.md"))
    assert help_window.chapter == "data"
    help_window.text.anchorClicked.emit(QUrl("method.md#what-differs-from-the-released-code"))
    assert help_window.chapter == "method"
    assert help_window.text.textCursor().block().text() == "What differs from the released code"
    assert help_window.text.verticalScrollBar().value() > 0


def test_a_page_on_the_web_is_opened_by_a_click_alone(help_window, monkeypatch):
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    help_window.show_chapter("results")
    assert opened == []
    help_window.text.anchorClicked.emit(QUrl("https://arxiv.org/abs/2507.12008"))
    assert [url.host() for url in opened] == ["arxiv.org"]
    help_window.text.anchorClicked.emit(QUrl("file:///etc/passwd"))
    assert len(opened) == 1
    assert help_window.chapter == "results"


def test_the_guide_shows_its_own_pictures_and_nothing_else(help_window):
    kind = QTextDocument.ResourceType.ImageResource
    picture = help_window.text.loadResource(kind, QUrl("pictures/train.png"))
    assert not picture.isNull()
    assert picture.width() <= help_window.text.viewport().width()
    for outside in ("../icons/logo.svg", "file:///etc/passwd", "https://example.org/a.png", "pictures/../../a.png"):
        assert help_window.text.loadResource(kind, QUrl(outside)) is None
    with pytest.raises(FileNotFoundError):
        guide.text("../icons/logo")


@pytest.mark.parametrize(("page", "chapter"), CHAPTERS.items())
def test_f1_opens_the_chapter_of_the_page(make_window, qtbot, page, chapter):
    window = make_window()
    window.show_page(page)
    window.menus.chapter.trigger()
    assert window.help_window.isVisible()
    assert window.help_window.chapter == chapter
    assert window.menus.chapter.shortcut().toString() == "F1"
    window.help_window.close()


# Settings --------------------------------------------------------------------------------------


def test_settings_are_kept_and_used_by_a_new_project(make_window, store: QSettings, qapp):
    window = make_window()
    window.menus.settings.trigger()
    dialog = window.findChild(SettingsDialog)
    dialog.theme_box.setCurrentIndex(1)
    dialog.theme_box.activated.emit(1)  # as a click does
    assert theme.current(qapp) is theme.Theme.LIGHT
    dialog.device_box.setEditText("cpu")
    dialog.threads_box.setValue(2)
    dialog.close()
    again = Preferences(QSettings(store.fileName(), QSettings.Format.IniFormat))
    store.sync()
    assert (again.theme, again.device, again.threads) == (theme.Theme.LIGHT, "cpu", 2)
    window.menus.new.trigger()
    assert (window.project.config.training.device, window.project.config.training.threads) == ("cpu", 2)
    assert not window.project.modified


def test_a_store_that_was_damaged_counts_as_empty(store: QSettings):
    for key, value in (("theme", "pink"), ("device", "a toaster"), ("threads", "many")):
        store.setValue(key, value)
    preferences = Preferences(store)
    assert preferences.theme is theme.Theme.DARK
    assert preferences.threads == 0
    assert preferences.new_config().training.device == "auto"


def test_the_folder_of_weights_reaches_the_hub_and_gives_way_to_the_environment(store, monkeypatch, tmp_path):
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    preferences = Preferences(store)
    preferences.use_cache()
    assert CACHE_VARIABLE not in os.environ
    preferences.cache = tmp_path
    monkeypatch.setenv(CACHE_VARIABLE, "/elsewhere")
    preferences.use_cache()
    assert os.environ[CACHE_VARIABLE] == "/elsewhere"
    monkeypatch.delenv(CACHE_VARIABLE)
    preferences.use_cache()
    assert os.environ[CACHE_VARIABLE] == str(tmp_path)
    monkeypatch.delenv(CACHE_VARIABLE)


def test_recent_projects_are_forgotten(make_window, qtbot, project_file):
    window = make_window()
    window.files.open(project_file)
    assert window.files.recent() == [project_file]
    window.menus.settings.trigger()
    window.findChild(SettingsDialog).forget.click()
    assert window.files.recent() == []


def test_projects_that_no_longer_exist_leave_the_list_without_holding_up_the_window(
    make_window, qtbot, project_file, store
):
    store.setValue("recent", [str(project_file), "/gone/project.toml"])
    window = make_window()
    assert len(window.files.recent()) == 2  # nobody has looked at the disk
    opened = []
    window.files.look_for_recent(opened.append)
    qtbot.waitUntil(lambda: window.files.recent() == [project_file])
    assert opened == [project_file]


# The report ------------------------------------------------------------------------------------


def test_a_report_holds_what_is_needed_and_hides_the_home_folder(make_window, qtbot, project_file, monkeypatch):
    monkeypatch.setenv("HOME", str(project_file.parents[1]))
    window = make_window(FakeEngine())
    window.files.open(project_file)
    window.probe.summary = "torch: 2.10\ndevice: cpu (no CUDA device found)"
    run = RunFolder(project_file.parent / "runs" / "run-01")
    run.path.mkdir(parents=True)
    (run.path / "log.txt").write_text("".join(f"line {i}\n" for i in range(1000)))
    window.controller.run_path = run.path
    window.menus.report.trigger()
    qtbot.waitUntil(lambda: window.findChild(ReportDialog) is not None)
    text = window.findChild(ReportDialog).text.toPlainText()
    for words in ("Python", "torch: 2.10", "crop_size = 64", "line 999"):
        assert words in text
    assert "line 1\n" not in text
    assert str(project_file.parents[1]) not in text
    assert "source_images" in text


def test_a_report_is_saved_as_the_user_left_it(qtbot, tmp_path, monkeypatch):
    dialog = ReportDialog("secret and useful")
    qtbot.addWidget(dialog)
    dialog.text.setPlainText("useful")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "r.txt"), ""))
    dialog.save.click()
    assert (tmp_path / "r.txt").read_text() == "useful"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "no/such/folder.txt"), ""))
    dialog.save.click()
    assert "Choose another folder" in dialog.hint.text()
    dialog.copy.click()
    assert QGuiApplication.clipboard().text() == "useful"


def test_a_report_without_a_run_or_a_log(tmp_path):
    assert reporting.run_log(None) == ""
    assert reporting.run_log(tmp_path) == ""
    assert reporting.compose({"A": "", "B": f"{tmp_path}/x"}, tmp_path) == "== A ==\n\n–\n\n== B ==\n\n~/x\n"


def test_the_newest_log_lines_are_kept():
    handler = recent_log.RecentLog()
    for number in range(recent_log.KEPT + 5):
        handler.handle(logging.LogRecord("a", logging.INFO, "f", 1, "record %s", (number,), None))
    assert "record 4\n" not in handler.text
    assert handler.text.endswith(f"record {recent_log.KEPT + 4}")


# Threads, sleep, notices -----------------------------------------------------------------------


def test_an_error_in_a_python_thread_reaches_the_dialog():
    shown = []
    app = SimpleNamespace(unhandled=SimpleNamespace(emit=lambda *words: shown.append(words)))
    app.hook = lambda *error: Application.hook(app, *error)
    kept, threading.excepthook = threading.excepthook, lambda failure: Application.thread_hook(app, failure)
    try:
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
    finally:
        threading.excepthook = kept
    assert shown[0][0] == "division by zero"
    assert "Traceback" in shown[0][1]


@pytest.fixture
def wakepy(monkeypatch):
    """wakepy's place, taken by one that says when it is held."""
    held = []

    class Mode:
        active = True

        def __enter__(self):
            held.append(True)
            return self

        def __exit__(self, *_):
            held.append(False)

    fake = SimpleNamespace(keep=SimpleNamespace(running=lambda on_fail: Mode()))
    monkeypatch.setitem(sys.modules, "wakepy", fake)
    return held


def test_the_computer_stays_awake_while_a_run_trains(make_window, qtbot, project_file, wakepy):
    window = make_window(FakeEngine())
    window.files.open(project_file)
    qtbot.waitUntil(lambda: window.dataset.complete)
    window.train.start.click()
    qtbot.waitUntil(lambda: window.controller.state is RunState.RUNNING)
    qtbot.waitUntil(lambda: wakepy == [True])  # once, through all states of the run
    window.train.stop.click()
    qtbot.waitUntil(lambda: wakepy == [True, False])


def test_a_desktop_that_cannot_be_asked_stops_nothing(qtbot):
    keeper = awake.KeepAwake()
    keeper.set_active(True)
    keeper.set_active(True)
    keeper.set_active(False)
    keeper.set_active(False)
    qtbot.waitUntil(lambda: all(thread.name != "keep-awake" for thread in threading.enumerate()))


def test_the_end_of_a_run_is_told_to_who_looks_elsewhere(qtbot, monkeypatch):
    window, told = QWidget(), []
    qtbot.addWidget(window)
    window.show()
    monkeypatch.setattr(QWidget, "isActiveWindow", lambda _: bool(told))
    monkeypatch.setattr(QSystemTrayIcon, "isSystemTrayAvailable", lambda: True)
    monkeypatch.setattr(QSystemTrayIcon, "supportsMessages", lambda: True)
    monkeypatch.setattr(QSystemTrayIcon, "showMessage", lambda _, *words: told.append(words))
    monkeypatch.setattr(QSystemTrayIcon, "show", lambda _: None)
    notice = Notice(window)
    end = Finished(10, stopped=False, result={"source_only": {"miou": 34.8}, "teacher": {"miou": 63.04}})
    notice.show_end(end)
    assert told[0][:2] == ("The run has finished", "Source-only 34.8, adapted 63.0 mIoU")
    notice.show_end(end)  # the window is in front now
    assert len(told) == 1


def test_without_a_tray_it_beeps(qtbot, monkeypatch):
    window, beeps = QWidget(), []
    qtbot.addWidget(window)
    window.show()
    monkeypatch.setattr(QWidget, "isActiveWindow", lambda _: False)
    monkeypatch.setattr(QSystemTrayIcon, "isSystemTrayAvailable", lambda: False)
    monkeypatch.setattr(QApplication, "beep", lambda: beeps.append(1))
    Notice(window).show_end(Finished(10, stopped=True, result={}))
    assert beeps == [1]
