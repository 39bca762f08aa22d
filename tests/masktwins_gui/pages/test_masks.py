import pytest
from PySide6.QtCore import Qt

from core.data.reading import read_image
from masktwins_gui.models.dataset import DatasetModel, take_stock
from masktwins_gui.models.pictures import centre_crop, draw_twins
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.pages.masks import MasksPage
from masktwins_gui.widgets.image_view import to_qimage
from tests.masktwins_gui.fakes import DirectJobs


@pytest.fixture
def page(qtbot, small_data):
    project, dataset = ProjectModel(), DatasetModel()
    project.new(small_data)
    page = MasksPage(project, dataset, DirectJobs())
    qtbot.addWidget(page)
    page.show()
    dataset.set_holdings(take_stock(small_data.data))
    qtbot.waitUntil(lambda: not page.views["first"].image.isNull())
    return page


def shown(page):
    return {name: view.image.copy() for name, view in page.views.items()}


def test_without_images_it_says_where_to_go(qtbot):
    page = MasksPage(ProjectModel(), DatasetModel(), DirectJobs())
    qtbot.addWidget(page)
    page.show()
    assert page.empty.isVisible()
    with qtbot.waitSignal(page.data_requested):
        qtbot.mouseClick(page.empty.action, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not page._timer.isActive())


def test_the_preview_is_the_training_code_s(page, small_data):
    image = read_image(page._dataset.pairs("target")[0].image)
    twins = draw_twins(image, small_data.mask, (64, 64), seed=0)
    assert page.views["first"].image == to_qimage(twins.first)
    assert page.views["second"].image == to_qimage(twins.second)
    assert page.views["together"].image == to_qimage(centre_crop(image, (64, 64)))
    assert "each of the 4 096 pixels is shown exactly once" in page.proof.text()


def test_reroll_draws_other_masks_of_the_same_image(page, qtbot):
    before = shown(page)
    qtbot.mouseClick(page.reroll, Qt.MouseButton.LeftButton)
    after = shown(page)
    assert after["original"] == before["original"]
    assert after["first"] != before["first"]


def test_stepping_goes_round(page, qtbot):
    names = []
    for _ in range(7):
        names.append(page.image_name.text())
        qtbot.mouseClick(page.next, Qt.MouseButton.LeftButton)
    assert len(set(names)) == 6
    assert names[6] == names[0]
    page.step(-2)
    assert "(6 of 6)" in page.image_name.text()


def test_settings_change_the_preview_and_undo_brings_it_back(page, qtbot):
    before = shown(page)
    page.form.editors["mask.block_size"].box.setValue(16)
    qtbot.waitUntil(lambda: shown(page)["first"] != before["first"])
    qtbot.mouseClick(page.undo, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: shown(page)["first"] == before["first"])
    assert page.redo.isEnabled()


@pytest.mark.parametrize(
    ("strategy", "words", "second"),
    [("random", "shown twice", False), ("single", "One masked view", True), ("off", "No masks", True)],
)
def test_each_strategy_is_explained(page, qtbot, strategy, words, second):
    page._project.change({"mask.strategy": strategy})
    qtbot.waitUntil(lambda: words in page.proof.text())
    assert page.views["second"].image.isNull() == second


def test_a_damaged_image_is_said_and_nothing_stale_stays(page, qtbot, monkeypatch):
    page._failed("a.png cannot be read", "Traceback")
    assert page.proof.text() == "a.png cannot be read"
    assert page.views["first"].image.isNull()


def test_the_suggestion_follows_the_crop(page):
    page._project.change({"training.crop_size": 512})
    assert "32 px" in page.advice.text()
