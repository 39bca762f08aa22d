"""The folder field, the rail, the curves, the status bar, the previews, the dialogs."""

import ast
import re
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QGuiApplication
from PySide6.QtWidgets import QFileDialog

import resources
from core.checking.check import check
from core.events import Measuring
from masktwins_gui import theme
from masktwins_gui.device_probe import parse
from masktwins_gui.main_window import PAGES
from masktwins_gui.models.states import PageState, RunState
from masktwins_gui.widgets.class_legend import ClassLegend
from masktwins_gui.widgets.domain_card import DomainCard
from masktwins_gui.widgets.error_dialog import ErrorDialog
from masktwins_gui.widgets.file_list import FileListDialog
from masktwins_gui.widgets.folder_field import FolderField
from masktwins_gui.widgets.rail import Rail
from masktwins_gui.widgets.run_status import RunStatus, clock, duration
from tests.masktwins_gui.fakes import step_done


def drop(widget, *paths):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    event = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    widget.dropEvent(event)
    return event


@pytest.fixture
def field(qtbot):
    field = FolderField("Source images", "what they are", "data.source_images")
    qtbot.addWidget(field)
    return field


def test_a_folder_is_typed(field, qtbot, tmp_path):
    with qtbot.waitSignal(field.chosen) as chosen:
        qtbot.keyClicks(field.line, str(tmp_path))
        qtbot.keyClick(field.line, Qt.Key.Key_Return)
    assert chosen.args == [tmp_path]
    with qtbot.waitSignal(field.chosen) as cleared:
        field.line.clear()
        field.line.editingFinished.emit()
    assert cleared.args == [None]


def test_a_folder_is_dropped_and_a_file_stands_for_its_folder(field, qtbot, tmp_path):
    with qtbot.waitSignal(field.chosen) as chosen:
        assert drop(field, tmp_path).isAccepted()
    assert chosen.args == [tmp_path]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.png").touch()
    drop(field, tmp_path / "sub" / "a.png")
    assert field.path == tmp_path / "sub"


def test_a_folder_is_chosen_in_a_dialog(field, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    with qtbot.waitSignal(field.chosen):
        qtbot.mouseClick(field.browse, Qt.MouseButton.LeftButton)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    qtbot.mouseClick(field.browse, Qt.MouseButton.LeftButton)
    assert field.path == tmp_path  # cancelled


def test_the_rail_says_each_page_s_state(qtbot):
    rail = Rail((("data", "Data"), ("train", "Train")))
    qtbot.addWidget(rail)
    rail.buttons["data"].set_state(PageState.ATTENTION, 3)
    rail.buttons["train"].set_state(PageState.RUNNING)
    assert rail.buttons["data"].accessibleName() == "Data: needs attention: 3"
    assert rail.buttons["train"].accessibleName() == "Train: running"
    with qtbot.waitSignal(rail.page_chosen) as chosen:
        qtbot.mouseClick(rail.buttons["train"], Qt.MouseButton.LeftButton)
    assert chosen.args == [1]
    rail.set_device("cpu", "no CUDA device found")
    assert rail.device.text() == "CPU"
    assert "no CUDA device found" in rail.device.toolTip()
    assert not rail.grab().isNull()


def test_the_status_bar(qtbot):
    status = RunStatus()
    qtbot.addWidget(status)
    status.set_state(RunState.RUNNING)
    status._total = 4000
    status.show_step(step_done(1500, 4000))
    assert status.state.text() == "Running"
    assert status.step.text() == "1\u2009500 / 4\u2009000"
    assert status.rate.text() == "20.0 img/s"
    assert status.left.text() == "4:10 left"
    assert status.memory.text() == "1.5 GiB"
    status.show_measuring(Measuring("scoring the teacher", 3, 12))
    assert status.left.text() == "scoring the teacher (3 of 12)"  # not "0:00 left" for minutes
    status.show_measuring(Measuring("saving", 0, 0))
    assert status.left.text() == "saving"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3725, "1:02:05"), (-3, "0:00")])
def test_clock(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.2, "4.2 s"), (80, "80 s"), (600, "10 min"), (3 * 3600 + 1200, "3 h 20 min"), (90_000, "1 d 1 h")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_the_domain_card_compares_the_cameras(qtbot, small_data):
    card = DomainCard()
    qtbot.addWidget(card)
    card.show_statistics(check(small_data.data, (64, 64)).statistics)
    assert card._cells["images", 1].text() == "6"
    assert card._cells["size", 2].text() == "96 × 64"
    assert card.sentence.text().startswith("The target is darker")
    assert len(card.plot.listDataItems()) == 6
    card.clear()
    assert card._cells["images", 1].text() == "–"


def test_the_error_dialog_copies_everything(qtbot):
    dialog = ErrorDialog("It failed", "the disk is full", "free some space", "Traceback …")
    qtbot.addWidget(dialog)
    dialog.show()
    assert not dialog.details.isVisible()
    qtbot.mouseClick(dialog.more, Qt.MouseButton.LeftButton)
    assert dialog.details.isVisible()
    qtbot.mouseClick(dialog.copy, Qt.MouseButton.LeftButton)
    copied = QGuiApplication.clipboard().text()
    assert "the disk is full" in copied
    assert "Traceback" in copied


def test_the_file_list_is_bounded(qtbot):
    dialog = FileListDialog("many", [Path(f"/x/{i}.png") for i in range(6000)], is_error=True)
    qtbot.addWidget(dialog)
    assert dialog.list.count() == 5001
    assert "1000 more" in dialog.list.item(5000).text()


def test_the_legend_names_each_colour(qtbot):
    legend = ClassLegend()
    qtbot.addWidget(legend)
    legend.set_classes(("road & rail", "sky"), ((1, 2, 3), (4, 5, 6)))
    assert "road&nbsp;&amp;&nbsp;rail" in legend.text()
    assert "rgb(4,5,6)" in legend.text()


def test_the_device_is_read_from_the_doctor():
    good = 'noise\n{"findings": [{"name": "python"}, {"name": "device", "value": "cpu (no CUDA device found)", "remedy": ""}]}'
    assert parse(good) == ("cpu", "no CUDA device found")
    device, reason = parse("Traceback: broken")
    assert device == ""
    assert "doctor" in reason


ICON_CALLS = {"set_icon", "tool_button", "icon", "pixmap", "EmptyState", "_button", "_tool"}


def words_in_icon_calls():
    """Every word among the arguments of the calls that take an icon's name."""
    for path in Path(theme.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
            if name in ICON_CALLS:
                yield from (w.value for a in node.args for w in ast.walk(a) if isinstance(w, ast.Constant))


def test_every_icon_is_used_and_drawn(qapp):
    icons = {path.stem for path in (Path(resources.__file__).parent / "icons").glob("*.svg")}
    used = {*words_in_icon_calls(), *PAGES, *re.findall(r"/(\w+)\.svg", theme.SHEET)}
    assert icons - used == set()
    for name in icons:
        drawn = theme.pixmap(name, qapp.palette().windowText().color(), 24).toImage()
        assert any(drawn.pixelColor(x, y).alpha() for x in range(24) for y in range(24)), name
