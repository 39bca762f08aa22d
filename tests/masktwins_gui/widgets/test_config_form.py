import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QKeySequence, QWheelEvent
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QMainWindow

from core.configuration import settings
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.relevance import idle_reason
from masktwins_gui.widgets.config_form import ConfigForm
from masktwins_gui.widgets.editors import make_editor


@pytest.fixture
def project(qapp):
    return ProjectModel()


@pytest.fixture
def form(project, qtbot):
    form = ConfigForm(project, settings.settings(), name="form")
    qtbot.addWidget(form)
    form.show()
    return form


def retype(qtbot, line, text):
    line.setFocus()
    line.selectAll()
    qtbot.keyClicks(line, text)
    qtbot.keyClick(line, Qt.Key.Key_Return)


def test_every_setting_has_an_editor_with_its_words(form):
    listed = {s.path: s for s in settings.settings()}
    assert set(form.editors) == set(listed)
    for path, editor in form.editors.items():
        assert editor.objectName() == path
        assert editor.toolTip().startswith(listed[path].description)
        assert editor.accessibleName() == listed[path].title


@pytest.mark.parametrize("setting", list(settings.settings()), ids=lambda s: s.path)
def test_editors_give_back_what_they_are_given(setting, qtbot):
    editor = make_editor(setting)
    qtbot.addWidget(editor)
    editor.set_value(setting.default)
    assert editor.value() == setting.default


def test_typing_changes_the_project(form, project, qtbot):
    retype(qtbot, form.editors["training.learning_rate"].line, "3e-4")
    retype(qtbot, form.editors["mask.ratio"].line, "0.3, 0.5")
    retype(qtbot, form.editors["training.crop_size"].line, "256x512")
    config = project.config
    assert config.training.learning_rate == 3e-4
    assert config.mask.ratio == (0.3, 0.5)
    assert config.training.crop_size == (256, 512)
    assert form.errors() == {}


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("training.learning_rate", "fast", "not a number"),
        ("training.learning_rate", "-1", "“Learning rate”"),
        ("mask.ratio", "1.5", "“Mask ratio”"),
        ("training.crop_size", "12 x 13 x 14", "512"),
        ("training.crop_size", "32", "“Block size” 64 is larger than the crop"),
        ("training.device", "tpu", "“Device”"),
    ],
)
def test_a_value_that_cannot_be_is_said_below_its_field(form, project, qtbot, path, text, words):
    before = project.config
    editor = form.editors[path]
    retype(qtbot, editor.line, text)
    assert words in form.errors()[path]
    assert editor.line.text() == text  # what was typed stays, to be corrected
    assert project.config == before
    assert form._errors[path].isVisibleTo(form)
    good = str(editor.text_of(settings.get(before, path)))
    retype(qtbot, editor.line, good)
    assert form.errors() == {}


def test_undo_is_shown(form, project):
    project.change({"training.batch_size": 7, "augment.blur": False})
    assert form.editors["training.batch_size"].value() == 7
    project.undo()
    assert form.editors["training.batch_size"].value() == 2
    assert form.editors["augment.blur"].value() is True


def test_showing_a_value_changes_nothing(form, project):
    changes = []
    project.changed.connect(changes.append)
    project.change({"mask.ratio": 0.123})  # the slider cannot hold it exactly
    assert project.config.mask.ratio == 0.123
    assert len(changes) == 1


def test_none_is_a_value_where_it_may_be(form, project):
    editor = form.editors["training.warmup_steps"]
    assert editor.value() is None
    assert editor.box.text() == "automatic"
    editor.box.setValue(0)
    assert project.config.training.warmup_steps == 0
    editor.box.setValue(editor.box.minimum())
    assert project.config.training.warmup_steps is None


def test_the_slider_sets_the_ratio(form, project):
    form.editors["mask.ratio"].slider.setValue(70)
    assert project.config.mask.ratio == 0.7


def test_while_a_run_trains_only_live_settings_are_open(form, project):
    form.set_running(True)
    for setting in settings.settings():
        idle = idle_reason(setting.path, project.config)
        assert form.editors[setting.path].isEnabled() == (setting.live and not idle), setting.path
    assert form.editors["mask.block_size"].isEnabled()
    assert not form.editors["mask.level"].isEnabled()
    form.set_running(False)
    assert form.editors["mask.level"].isEnabled()


def test_what_has_no_effect_is_closed_and_says_why(form, project):
    block = form.editors["mask.block_size"]
    assert block.isEnabled()
    project.change({"mask.block_fraction": 0.0625})
    assert not block.isEnabled()
    assert block.toolTip().endswith("(no effect now: the block size follows the crop (Advanced))")
    project.change({"mask.views": 4})
    assert not form.editors["mask.ratio"].isEnabled()
    project.undo()
    project.undo()
    assert block.isEnabled()
    assert form.editors["mask.ratio"].isEnabled()
    assert "no effect" not in block.toolTip()


def test_the_encoders_offered_suit_the_architecture(form, project, qtbot):
    editor = form.editors["network.encoder"]
    form.editors["network.architecture"].box.setCurrentText("dpt")
    form.editors["network.architecture"].box.activated.emit(0)
    assert project.config.network.architecture == "dpt"
    assert editor._box.itemText(0).startswith("tu-vit")
    assert editor.value() == project.config.network.encoder == "tu-pvt_v2_b0"  # the choice stays the user's


def test_advanced_settings_are_folded(form, qtbot):
    assert not form.editors["loss.twin_balance"].isVisibleTo(form)
    assert form.editors["loss.twin_weight"].isVisibleTo(form)
    qtbot.mouseClick(form.more, Qt.MouseButton.LeftButton)
    assert form.editors["loss.twin_balance"].isVisibleTo(form)


def test_the_form_fits_the_settings_panel(project, qtbot):
    form = ConfigForm(project, settings.settings("network", "training", "loss"), name="narrow")
    qtbot.addWidget(form)
    form.more.setChecked(True)
    assert form.minimumSizeHint().width() <= 280  # the panel's least width without its scroll bar


def test_sections_are_headed(form):
    headings = [label.text() for label in form.findChildren(QLabel) if label.property("role") == "heading"]
    assert "Network" in headings
    assert "Losses" in headings


def test_the_wheel_over_a_field_without_focus_changes_nothing(form, project):
    box = form.editors["training.batch_size"].box
    form.setFocus()
    centre = QPointF(box.rect().center())
    event = QWheelEvent(
        centre, QPointF(box.mapToGlobal(box.rect().center())), QPoint(), QPoint(0, 120),
        Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(box, event)
    assert project.config.training.batch_size == 2


def test_arrow_keys_step_a_number(form, project, qtbot):
    line = form.editors["training.learning_rate"].line
    line.setFocus()
    qtbot.keyClick(line, Qt.Key.Key_Up)
    assert project.config.training.learning_rate == pytest.approx(6.6e-5)


def test_tab_goes_down_the_form(form, qtbot):
    chain, widget = [], form.editors["data.source_images"]
    while (widget := widget.nextInFocusChain()) is not form.editors["data.source_images"] and len(chain) < 2000:
        chain.append(widget)
    last_usual = form.editors["training.precision"].controls()[0]
    first_advanced = form.editors["loss.twin_balance"].controls()[0]
    assert chain.index(last_usual) < chain.index(form.more) < chain.index(first_advanced)
    paths = [s.path for s in settings.settings() if not s.advanced]
    places = [chain.index(form.editors[path].controls()[-1]) for path in paths[1:]]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("path", "typed"),
    [("training.learning_rate", "0.3"), ("training.batch_size", "3"), ("network.encoder", "resnet18")],
)
def test_undo_works_right_after_an_edit(project, qtbot, path, typed):
    """The key goes through a window's menu, as in the program."""
    window = QMainWindow()
    qtbot.addWidget(window)
    form = ConfigForm(project, settings.settings(), name="form")
    window.setCentralWidget(form)
    undo = window.menuBar().addAction("Undo")
    undo.setShortcut(QKeySequence.StandardKey.Undo)
    undo.triggered.connect(project.undo)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    before = settings.get(project.config, path)
    editor = form.editors[path]
    line = editor.findChild(QLineEdit)
    line.setFocus()
    line.selectAll()
    qtbot.keyClicks(line, typed)
    line.setModified(True)
    qtbot.keyClick(line, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert settings.get(project.config, path) == before  # what is being typed is the line's own business
    line.selectAll()
    qtbot.keyClicks(line, typed)
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert settings.get(project.config, path) != before
    qtbot.keyClick(line, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert settings.get(project.config, path) == before
    assert editor.value() == before
    line.clearFocus()
