"""The whole window with engines that train nothing."""

import threading
from types import SimpleNamespace

import pytest
from PySide6.QtCore import QPoint, QRect, QSettings, QStandardPaths, Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QAbstractButton, QFileDialog, QMessageBox, QWidget

from core.configuration import settings
from core.events import Preparing
from core.runs.folder import RunFolder
from masktwins_gui import theme
from masktwins_gui.app import Application
from masktwins_gui.layout_memory import inside
from masktwins_gui.models.states import PageState, RunState
from masktwins_gui.widgets.error_dialog import ErrorDialog
from tests.masktwins_gui.fakes import FakeEngine, failing_engine


@pytest.fixture
def open_window(make_window, qtbot, project_file):
    def make(engine=None):
        window = make_window(engine or FakeEngine())
        assert window.files.open(project_file)
        qtbot.waitUntil(lambda: window.dataset.complete)
        return window

    return make


def running(qtbot, window):
    window.train.start.click()
    qtbot.waitUntil(lambda: window.controller.state is RunState.RUNNING)


def test_the_object_names_that_scripts_rely_on(make_window):
    window = make_window()
    names = {
        *(f"rail.{page}" for page in ("data", "masks", "train", "inspect", "export", "device", "theme", "settings")),
        *("data.check", "data.cancel", "data.problems", "data.images", "data.classes", "data.source_images"),
        *("masks.reroll", "masks.next", "masks.previous", "masks.undo", "masks.redo"),
        *("train.start", "train.pause", "train.stop", "train.preset", "train.losses", "train.filmstrip"),
        *("inspect.images", "inspect.opacity", "inspect.swipe", "inspect.measure", "inspect.model_a"),
        *("export.run", "export.checkpoint", "export.onnx", "export.folder", "export.elsewhere"),
        *(setting.path for setting in settings.settings("mask", "training", "network", "loss", "augment")),
    }
    missing = {name for name in names if window.findChild(QWidget, name) is None}
    assert missing == set()


def test_every_button_says_what_it_is(make_window):
    window = make_window()
    silent = [
        button.objectName()
        for button in window.findChildren(QAbstractButton)
        if button.objectName() and not button.objectName().startswith("qt_") and not (button.text() or button.accessibleName())
        and not button.inherits("QCheckBox")
    ]  # fmt: skip
    assert silent == []


def test_pages_by_rail_and_by_key(make_window, qtbot):
    window = make_window()
    for number, name in enumerate(window.pages, start=1):
        qtbot.mouseClick(window.rail.buttons[name], Qt.MouseButton.LeftButton)
        assert window.stack.currentWidget() is window.pages[name]
        assert window.rail.buttons[name].shortcut() == QKeySequence(f"Ctrl+{number}")


@pytest.mark.parametrize("size", [(1280, 720), (1024, 700)])
def test_everything_fits(make_window, size):
    window = make_window()
    window.resize(*size)
    assert (window.width(), window.height()) == size
    for page in window.pages.values():
        assert page.minimumSizeHint().width() <= size[0] - window.rail.width()


def test_a_new_project_after_a_finished_run_forgets_its_models(open_window, qtbot, project_file, small_data):
    run = RunFolder(project_file.parent / "runs" / "dusk-01")
    run.create(small_data)
    run.write_status(state="finished", step=10, result={})
    checkpoint = run.checkpoint_path(6)
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text("{}")
    window = open_window()
    qtbot.waitUntil(lambda: window.inspect.first.choice is not None)
    window.menus.new.trigger()  # an exception in a slot fails the test
    window.project.change({"data.source_images": small_data.data.source_images})
    qtbot.waitUntil(lambda: not window.controller.jobs.busy)
    assert window.inspect.first.choice is window.inspect.second.choice is None


def test_closing_hides_the_window_at_once_and_waits_for_no_thread(open_window, qtbot):
    window = open_window()
    begun, release = threading.Event(), threading.Event()

    def predict(task):
        begun.set()
        release.wait(60)

    window.controller.inference.submit("slow", predict, lambda _: None, lambda *_: None)
    qtbot.waitUntil(begun.is_set)
    window.close()
    assert not window.isVisible()
    assert not window.controller.quiet  # the thread goes on for a while, and nobody waits for it
    with qtbot.waitSignal(window.controller.closed):
        release.set()
    assert window.controller.quiet


def test_a_run_from_the_window(open_window, qtbot):
    window = open_window()
    running(qtbot, window)
    assert window.rail.buttons["train"].state is PageState.RUNNING
    assert window.rail.device.text() == "CPU"
    assert not window.menus.open.isEnabled()
    qtbot.waitUntil(lambda: "img/s" in window.status.rate.text())
    qtbot.waitUntil(lambda: not window.train.previews.views["target"].image.isNull())
    window.train.pause.click()
    qtbot.waitUntil(lambda: window.controller.state is RunState.PAUSED)
    assert window.status.state.text() == "Paused"
    window.train.pause.click()
    qtbot.waitUntil(lambda: window.controller.state is RunState.RUNNING)
    window.train.stop.click()
    qtbot.waitUntil(lambda: window.controller.state is RunState.IDLE)
    assert window.menus.open.isEnabled()
    assert (window.project.folder / "runs" / "run-01" / "run.toml").is_file()


def test_a_failure_opens_a_dialog_and_leaves_no_stale_picture(open_window, qtbot):
    window = open_window(failing_engine)
    window.train.start.click()
    qtbot.waitUntil(lambda: window.findChild(ErrorDialog) is not None)
    dialog = window.findChild(ErrorDialog)
    assert dialog.message.text() == "the card has left the bus"
    assert window.status.state.text() == "Failed"
    assert window.train.previews.views["target"].image.isNull()
    assert window.train.start.isEnabled()
    dialog.close()


def answer(window, role):
    box = window.leaving.question
    next(b for b in box.buttons() if box.buttonRole(b) == role).click()


def test_closing_while_training_asks_once_stops_and_closes(open_window, qtbot):
    engine = FakeEngine()
    window = open_window(engine)
    running(qtbot, window)
    window.project.change({"loss.twin_weight": 0.5})
    window.close()
    window.close()
    assert window.isVisible()
    assert len(window.findChildren(QMessageBox)) == 1
    answer(window, QMessageBox.ButtonRole.AcceptRole)
    qtbot.waitUntil(lambda: not window.isVisible())
    assert engine.closed
    assert settings.load(window.project.path).loss.twin_weight == 0.5
    assert window.controller.state is RunState.IDLE


def test_closing_can_be_thought_better_of(open_window, qtbot):
    window = open_window()
    running(qtbot, window)
    window.close()
    answer(window, QMessageBox.ButtonRole.RejectRole)
    assert window.isVisible()
    assert window.controller.state is RunState.RUNNING
    window.close()  # it asks again later
    assert window.leaving.question is not None
    answer(window, QMessageBox.ButtonRole.RejectRole)


def test_leaving_stops_the_run_and_keeps_the_changes_without_a_question(open_window, qtbot):
    engine = FakeEngine()
    window = open_window(engine)
    running(qtbot, window)
    window.close()  # its question is open when the system asks to end
    window.project.change({"loss.twin_weight": 0.5})
    window.leaving.leave()
    qtbot.waitUntil(lambda: not window.isVisible())
    assert engine.closed
    assert settings.load(window.project.path).loss.twin_weight == 0.5


def test_leaving_gives_a_project_without_a_name_one(make_window, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr(QStandardPaths, "writableLocation", lambda _: str(tmp_path))
    for expected in ("unsaved.toml", "unsaved-2.toml"):
        window = make_window()
        window.project.change({"loss.twin_weight": 0.5})
        window.leaving.leave()
        assert not window.isVisible()
        assert window.files.recent()[0] == tmp_path / "MaskTwins" / expected
        assert settings.load(window.files.recent()[0]).loss.twin_weight == 0.5


def test_the_question_goes_when_the_run_ends_by_itself(open_window, qtbot):
    window = open_window()
    running(qtbot, window)
    window.close()
    window.controller.stop()
    qtbot.waitUntil(lambda: window.leaving.question is None)
    assert window.isVisible()


def test_a_live_change_is_sent_and_undone(open_window, qtbot):
    engine = FakeEngine()
    window = open_window(engine)
    running(qtbot, window)
    window.show_page("masks")
    window.masks.form.editors["mask.ratio"].slider.setValue(30)
    qtbot.waitUntil(lambda: engine.changes == [{"mask.ratio": 0.3}])
    window.menus.undo.trigger()
    qtbot.waitUntil(lambda: engine.changes[-1] == {"mask.ratio": 0.5})
    assert not window.train.form.editors["training.batch_size"].isEnabled()


def test_a_crashed_run_is_offered_when_the_project_opens(make_window, qtbot, project_file, small_data):
    run = RunFolder(project_file.parent / "runs" / "dusk-01")
    run.create(small_data)
    run.write_status(state="running", step=5)
    window = make_window(FakeEngine())
    window.files.open(project_file)
    qtbot.waitUntil(lambda: window.stack.currentWidget() is window.train)
    assert window.train.banner.isVisible()
    assert (window.rail.buttons["train"].state, window.rail.buttons["train"].count) == (PageState.ATTENTION, 1)
    window.show_page("data")
    window.controller.loader.refresh()
    qtbot.waitUntil(lambda: not window.controller.jobs.busy)
    assert window.stack.currentWidget() is window.data  # it is offered once
    window.train.banner.resume.click()
    qtbot.waitUntil(lambda: window.controller.state is RunState.RUNNING)
    assert window.controller.run_path == run.path
    assert not window.train.banner.isVisible()


def test_a_measurement_is_cancelled_when_the_window_closes(open_window, qtbot):
    window = open_window()

    def measure(control, subject):
        yield Preparing("building the network")
        control._stop.wait(60)

    window.controller._measure = measure
    window.show_page("train")
    window.train.bar.measure.click()
    qtbot.waitUntil(lambda: window.train.measure_card.heading.text() == "building the network")
    assert not window.train.start.isEnabled()
    window.close()
    qtbot.waitUntil(lambda: not window.isVisible())
    assert window.leaving.question is None


def test_starting_at_once(make_window, qtbot, project_file):
    window = make_window(FakeEngine())
    window.files.open(project_file)
    window.start_when_ready()
    qtbot.waitUntil(lambda: window.controller.state is RunState.RUNNING)


def test_an_untitled_project_is_saved_before_it_trains(make_window, qtbot, small_data, tmp_path, monkeypatch):
    window = make_window(FakeEngine())
    window.project.new(small_data)
    qtbot.waitUntil(lambda: window.dataset.complete)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    window.train.start.click()
    assert window.controller.state is RunState.IDLE  # cancelled
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "new" / "dusk"), ""))
    window.train.start.click()
    qtbot.waitUntil(lambda: window.controller.state is RunState.RUNNING)
    assert window.project.path == tmp_path / "new" / "dusk.toml"
    assert window.files.recent() == [tmp_path / "new" / "dusk.toml"]


@pytest.mark.parametrize(("button", "closes"), [("Cancel", False), ("Discard", True), ("Save", True)])
def test_unsaved_changes_are_asked_for(open_window, monkeypatch, project_file, button, closes):
    window = open_window()
    window.project.change({"training.batch_size": 7})
    assert window.isWindowModified()
    monkeypatch.setattr(QMessageBox, "exec", lambda *_: getattr(QMessageBox.StandardButton, button))
    window.close()
    assert window.isVisible() != closes
    assert (settings.load(project_file).training.batch_size == 7) == (button == "Save")


def test_a_project_that_is_none_opens_a_dialog(make_window, tmp_path):
    window = make_window()
    (tmp_path / "bad.toml").write_text("format_version = 1\n[training]\nsteps = -1\n")
    assert not window.files.open(tmp_path / "bad.toml")
    dialog = window.findChild(ErrorDialog)
    assert "bad.toml" in dialog.message.text()
    assert "steps" in dialog.message.text()
    dialog.close()


def test_the_demo_is_made_in_the_background_and_opened(make_window, qtbot, tmp_path, monkeypatch, project_file):
    window = make_window()
    monkeypatch.setattr("masktwins_gui.project_files.make_project", lambda folder, progress: project_file)
    window.files.make_demo(tmp_path / "demo")
    qtbot.waitUntil(lambda: window.project.path == project_file)
    assert all(page.isEnabled() for page in window.pages.values())

    def fail(folder, progress):
        raise OSError("no space left")

    monkeypatch.setattr("masktwins_gui.project_files.make_project", fail)
    window.files.make_demo(tmp_path / "demo")
    qtbot.waitUntil(lambda: window.findChild(ErrorDialog) is not None)
    assert window.findChild(ErrorDialog).message.text() == "no space left"
    window.findChild(ErrorDialog).close()


def test_size_and_splitters_are_remembered(make_window):
    window = make_window()
    window.resize(960, 650)  # as narrow as it goes: the offscreen screen is no wider
    window.data.splitter.setSizes([325, 467])
    sizes = window.data.splitter.sizes()
    window.close()
    again = make_window()
    assert (again.width(), again.height()) == (960, 650)
    assert again.data.splitter.sizes() == pytest.approx(sizes, abs=2)


def test_the_theme_is_remembered(make_window, store: QSettings, qapp):
    make_window().toggle_theme()
    assert theme.current(qapp) is theme.Theme.LIGHT
    assert store.value("theme") == "light"


def test_the_theme_reaches_the_plots(make_window):
    window = make_window()
    dark = window.train.losses.plot.backgroundBrush().color()
    window.toggle_theme()
    light = window.train.losses.plot.backgroundBrush().color()
    window.toggle_theme()
    assert light.lightness() > 200 > 60 > dark.lightness()


def test_resetting_the_layout(make_window):
    window = make_window()
    window.resize(1000, 620)
    window.layout_memory.reset()
    room = window.screen().availableGeometry()
    assert (window.width(), window.height()) == (max(960, min(1280, room.width())), min(720, room.height()))


def test_the_window_and_its_frame_are_brought_onto_the_screen():
    room = QRect(0, 0, 1280, 720)
    assert inside(QRect(100, 50, 1000, 600), room) == QRect(100, 50, 1000, 600)
    assert inside(QRect(0, 30, 1280, 720), room) == QRect(0, 0, 1280, 720)
    assert inside(QRect(900, 500, 600, 300), room) == QRect(680, 420, 600, 300)
    assert inside(QRect(-50, -50, 1400, 800), room).topLeft() == QPoint(0, 0)  # larger than the screen


def test_an_exception_nobody_caught_is_told_with_its_traceback():
    shown = []
    stub = SimpleNamespace(unhandled=SimpleNamespace(emit=lambda *args: shown.append(args)))
    with pytest.raises(ZeroDivisionError) as caught:
        1 / 0  # noqa: B018
    Application.hook(stub, caught.type, caught.value, caught.tb)
    assert shown[0][0] == "division by zero"
    assert "Traceback" in shown[0][1]
    Application.hook(stub, KeyboardInterrupt, KeyboardInterrupt(), None)
    assert len(shown) == 1
