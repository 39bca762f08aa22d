"""The compare desk with runs that exist on paper, and an inference that the test answers."""

import csv

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor

from core.dataset.folders import Pair
from core.dataset.reading import read_label
from core.events import Model, Scores
from masktwins_gui.models.dataset import DatasetModel, Holdings, take_stock
from masktwins_gui.models.desk import Cell, Order, Table
from masktwins_gui.models.project import ProjectModel
from masktwins_gui.models.runs import RunsModel
from masktwins_gui.models.services import Classes, Compared, ImageFacts, ModelChoice, ModelKind, Stage
from masktwins_gui.models.states import PageState
from masktwins_gui.pages.inspect.page import InspectPage
from masktwins_gui.widgets.compare_canvas import Mode
from tests.masktwins_gui.fakes import SCORES, DirectJobs, FakeInference
from tests.masktwins_gui.pages.desk import CLASSES, answer, click, predicted, run_info

BEFORE = Scores(30.0, 50.0, {"road": 20.0, "sky": 40.0}, ())


@pytest.fixture
def parts(small_data):
    project, dataset, runs, inference = ProjectModel(), DatasetModel(), RunsModel(), FakeInference()
    project.new(small_data)
    dataset.set_holdings(take_stock(small_data.data))
    return project, dataset, runs, inference


@pytest.fixture
def page(parts, qtbot):
    project, dataset, runs, inference = parts
    page = InspectPage(project, dataset, runs, DirectJobs(), inference)
    page.states = []
    page.state_changed.connect(lambda state, count: page.states.append(state))
    qtbot.addWidget(page)
    page.resize(1100, 640)
    page.show()
    return page


@pytest.fixture
def desk(page, parts, qtbot, tmp_path):
    """The page with a run; the first request has come."""
    parts[2].set_runs([run_info(tmp_path / "runs" / "a-01")])
    qtbot.waitUntil(lambda: bool(parts[3].calls))
    return page


@pytest.fixture
def compared(desk, parts, qtbot):
    """A says road everywhere, B sky in the right half."""
    answer(parts[3], 0)
    halves = np.zeros((64, 96), np.uint8)
    halves[:, 48:] = 1
    answer(parts[3], halves)
    assert desk.loader.delta is not None
    return desk


def only_labels(page, side):
    """Ids that a view shows of A or B."""
    image = (page.compare.first, page.compare.second)[side].overlay
    return {image.pixelIndex(x, 10) for x in range(0, image.width(), 5)}


# Runs and models -------------------------------------------------------------------------------


def test_without_a_run_it_says_what_to_do(page, qtbot):
    assert page.empty.isVisible()
    with qtbot.waitSignal(page.train_requested):
        click(qtbot, page.empty.action)
    with qtbot.waitSignal(page.demo_requested):
        click(qtbot, page.empty.demo)


def test_another_project_forgets_the_models(compared, parts):
    _, dataset, runs, _ = parts
    runs.set_runs([])
    dataset.set_holdings(Holdings())
    assert compared.empty.isVisible()
    assert compared.first.choice is None
    assert compared.loader.ranked(0) is None
    assert compared.desk.facts == {}


def test_the_models_shown_follow_a_growing_run(desk, parts, qtbot, tmp_path):
    _, _, runs, inference = parts
    answer(inference, 0)
    assert inference.calls[-1][1].model.newest == "step-000006"
    answer(inference, 1)
    known = len(inference.calls)
    path = tmp_path / "runs" / "a-01"
    runs.set_runs([run_info(path, state="running")])  # the same checkpoints: nothing is predicted again
    qtbot.wait(120)
    assert len(inference.calls) == known
    runs.set_runs([run_info(path, checkpoints=(("step-000006", 10), ("step-000009", 13)))])
    qtbot.waitUntil(lambda: len(inference.calls) > known)
    assert inference.calls[-1][1].model.newest == "step-000009"


def test_the_slider_follows_the_checkpoints(desk, parts, tmp_path):
    checkpoints = tuple((f"step-{step:06d}", step + 4) for step in (2, 4, 6))
    parts[2].set_runs([run_info(tmp_path / "runs" / "a-01", checkpoints=checkpoints)])
    assert (desk.time.value(), desk.time.maximum()) == (3, 3)
    desk.time.setValue(1)
    assert desk.second.choice.checkpoint == "2"
    desk.time.setValue(0)
    assert desk.second.choice.which is Model.SOURCE


# One image, step by step -----------------------------------------------------------------------


def test_the_plain_image_comes_at_once_then_a_then_b(desk, parts, small_data):
    _, dataset, _, inference = parts
    assert desk.view.where.text() == dataset.pairs("evaluation")[0].name
    assert not desk.compare.original.image.isNull()
    assert desk.compare.first.overlay.isNull()
    assert desk.view.busy.isVisible()
    first = answer(inference, 0)
    assert (first.model.which, first.ahead) == (Model.SOURCE, False)
    assert not desk.compare.first.overlay.isNull()
    assert desk.compare.second.overlay.isNull()
    second = answer(inference, 1)
    assert second.model.which is Model.TEACHER
    assert only_labels(desk, 0) == {0}
    assert only_labels(desk, 1) == {1}
    assert not desk.view.busy.isVisible()
    assert desk.view.stage.text() == "Computed on CPU"


def test_nothing_of_an_image_stays_when_another_is_chosen(compared, parts):
    dataset = parts[1]
    compared.compare.canvas.set_mode(Mode.DELTA)
    compared.images.step(1)
    pair = dataset.pairs("evaluation")[1]
    assert compared.view.where.text() == pair.name
    views = (compared.compare.first, compared.compare.second)
    assert all(view.overlay.isNull() for view in views)
    assert compared.compare.canvas.delta.isNull()
    assert compared.view.busy.isVisible()


def test_neighbours_are_predicted_ahead_and_then_shown_at_once(compared, parts):
    inference = parts[3]
    request = inference.calls[-1][1]
    assert request.ahead
    answer(inference, 2)  # A of the next image
    assert inference.calls[-1][1].ahead
    answer(inference, 2)  # B of it
    compared.images.step(1)
    assert only_labels(compared, 0) == only_labels(compared, 1) == {2}
    assert not compared.view.busy.isVisible()


def test_what_waits_ahead_is_asked_again_when_it_is_looked_at(compared, parts, qtbot):
    inference = parts[3]
    ahead = inference.calls[-1]
    assert ahead[1].ahead
    before = len(inference.calls)
    compared.images.step(1)
    qtbot.waitUntil(lambda: len(inference.calls) > before)
    assert not inference.calls[-1][1].ahead
    assert inference.cancelled == 1


def test_what_has_begun_ahead_is_waited_for(compared, parts, qtbot):
    inference = parts[3]
    _, _, (done, _, stage) = inference.calls[-1]
    stage(Stage.IMAGE)
    before = len(inference.calls)
    compared.images.step(1)
    qtbot.wait(120)
    assert len(inference.calls) == before
    done(predicted(2))
    assert only_labels(compared, 0) == {2}


def test_passing_by_quickly_predicts_only_where_one_stays(page, parts, qtbot, tmp_path):
    _, dataset, runs, inference = parts
    runs.set_runs([run_info(tmp_path / "runs" / "a-01")])
    for _ in range(2):
        qtbot.keyClick(page.images.list, Qt.Key.Key_Down)
        assert not page.compare.original.image.isNull()  # something is shown at every step
    qtbot.waitUntil(lambda: bool(inference.calls))
    assert len(inference.calls) == 1
    assert page.view.where.text() == dataset.pairs("evaluation")[2].name


def test_waiting_is_explained(desk, parts):
    _, _, (_, _, stage) = parts[3].calls[-1]
    stage(Stage.LIBRARY)
    assert "PyTorch" in desk.view.stage.text()
    stage(Stage.MODEL)
    assert "model" in desk.view.stage.text()


def test_a_failure_is_shown_and_goes_with_the_image(desk, parts):
    desk.view.problem.hide()
    _, _, (_, failed, _) = parts[3].calls[-1]
    failed("the checkpoint is damaged", "Traceback")
    assert desk.view.problem.isVisible()
    assert desk.view.problem.text() == "the checkpoint is damaged"
    assert not desk.view.busy.isVisible()
    desk.images.step(1)
    assert not desk.view.problem.isVisible()


def test_a_hidden_page_asks_for_nothing_more(desk, parts, qtbot):
    inference = parts[3]
    desk.hide()
    assert inference.cancelled == 1
    before = len(inference.calls)
    desk.show()
    qtbot.waitUntil(lambda: len(inference.calls) > before)


def test_a_folder_of_pictures_is_a_model(desk, parts, qtbot, tmp_path):
    import cv2

    for pair in desk.images.all:
        path = tmp_path / "pictures" / f"{pair.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((64, 96), 2, np.uint8))
    choice = ModelChoice(tmp_path / "pictures", title="pictures", kind=ModelKind.PICTURES)
    desk.second.add_other(choice)
    answer(parts[3], 0)
    assert only_labels(desk, 1) == {2}
    assert desk.loader.delta is not None
    assert desk.compare.hidden_share(1) is None


# Modes and keys --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "mode"),
    [(Qt.Key.Key_F, Mode.ONE), (Qt.Key.Key_B, Mode.BLINK), (Qt.Key.Key_S, Mode.SWIPE), (Qt.Key.Key_D, Mode.DELTA)],
)
def test_one_key_per_mode_and_the_same_key_goes_back(compared, qtbot, key, mode):
    compared.images.list.setFocus()
    qtbot.keyClick(compared.images.list, key)
    assert compared.compare.canvas.isVisible()
    assert compared.compare.mode is mode
    assert compared.toolbar.buttons[mode].isChecked()
    qtbot.keyClick(compared.images.list, key)
    assert compared.compare.mode is Mode.SIDE_BY_SIDE
    assert compared.compare.first.isVisible()


def test_letters_typed_into_the_filter_are_no_keys(compared, qtbot):
    compared.images.filter.setFocus()
    qtbot.keyClicks(compared.images.filter, "sd")
    assert compared.images.filter.text() == "sd"
    assert compared.compare.mode is Mode.SIDE_BY_SIDE


def test_arrow_keys_on_a_picture_step_through_the_images(compared, qtbot, parts):
    qtbot.keyClick(compared.compare.first, Qt.Key.Key_Down)
    assert compared.view.where.text() == parts[1].pairs("evaluation")[1].name
    qtbot.keyClick(compared.compare.first, Qt.Key.Key_Up)
    assert compared.view.where.text() == parts[1].pairs("evaluation")[0].name


def test_the_confidence_hides_pixels_and_says_how_many(compared, parts, qtbot):
    compared.images.step(1)
    qtbot.waitUntil(lambda: not parts[3].calls[-1][1].ahead)
    half = np.zeros((64, 96), np.uint8)
    sure = predicted(half)
    sure.ranked.probabilities[0, :, :24] = 100
    parts[3].calls[-1][2][0](sure)
    compared.toolbar.confidence.setValue(50)
    assert only_labels(compared, 0) == {0, 255}
    assert "A 25%" in compared.toolbar.hidden.text()
    compared.toolbar.confidence.setValue(0)
    assert only_labels(compared, 0) == {0}
    assert compared.toolbar.hidden.text() == ""


def test_classes_are_hidden_by_their_buttons(compared, qtbot):
    image = compared.compare.second.overlay
    assert image.pixelColor(90, 5) == QColor(8, 8, 200)
    click(qtbot, compared.view.legend.buttons[1])
    assert compared.compare.second.overlay.pixelColor(90, 5).alpha() == 0
    assert compared.compare.second.overlay.pixelColor(5, 5) == QColor(9, 9, 9)


def test_opacity_changes_no_pixel(compared):
    before = compared.compare.first.overlay.pixelColor(5, 5)
    compared.toolbar.opacity.setValue(100)
    assert compared.compare.first.opacity == 1.0
    assert compared.compare.first.overlay.pixelColor(5, 5) == before


def test_the_probe_names_the_classes_under_the_pointer(compared):
    compared.compare.hovered.emit(QPoint(90, 5))
    text = compared.view.probe.text()
    assert "x 90, y 5" in text
    assert "A: road 100%" in text
    assert "B: sky 100%" in text
    assert "label: " in text


def test_the_delta_shows_changes_or_outcomes(compared, qtbot):
    compared.toolbar.set_mode(Mode.DELTA)
    outcomes = compared.compare.canvas.delta
    assert compared.toolbar.delta_kind.currentIndex() == 1  # there is a label
    compared.toolbar.delta_kind.setCurrentIndex(0)
    changes = compared.compare.canvas.delta
    assert changes != outcomes
    grey = changes.pixelColor(5, 30)
    assert grey.red() == grey.green() == grey.blue()
    assert {changes.pixelColor(x, 30).name() for x in range(50, 90)} == {"#090909", "#0808c8"}


def test_n_goes_from_region_to_region(compared, parts, qtbot):
    pair = parts[1].pairs("evaluation")[0]
    space = parts[1].holdings.space
    label = read_label(pair.label, space)
    regions = compared.loader.delta.regions
    broken = (label == 0)[:, 48:].sum()
    assert sum(region.area for region in regions) == broken
    qtbot.keyClick(compared.images.list, Qt.Key.Key_N)
    if regions:
        assert "1 of" in compared.view.probe.text()
        assert compared.compare.viewport.zoom >= 1
        assert not compared.compare.first.marked.isEmpty()
    else:
        assert compared.view.probe.text()


# Numbers ---------------------------------------------------------------------------------------


def test_the_image_looked_at_is_counted(compared):
    assert compared.panel.coverage.text() == "1 of 3 images compared"
    assert compared.panel.matrix.matrix.tolist()[0] == [64 * 48, 64 * 48, 0]
    assert compared.panel.matrix.data(compared.panel.matrix.index(0, 1)) == "3.1k"


def test_a_cell_filters_the_list_and_shows_its_pixels_alone(compared, parts, qtbot):
    compared.panel.tabs.setCurrentIndex(1)
    grid = compared.panel.grid
    qtbot.mouseClick(
        grid.viewport(), Qt.MouseButton.LeftButton, pos=grid.visualRect(compared.panel.matrix.index(0, 1)).center()
    )
    assert [pair.name for pair in compared.images.shown] == [parts[1].pairs("evaluation")[0].name]
    assert only_labels(compared, 0) == {0, 255}
    assert only_labels(compared, 1) == {1, 255}
    assert "3,072 pixels change from road to sky" in compared.panel.sentence.text()
    click(qtbot, compared.panel.show_all)
    assert len(compared.images.shown) == 3
    assert only_labels(compared, 1) == {0, 1}


def facts_of(page, row, value_b, label=True):
    """Facts of one image as the inference would find them."""
    from masktwins_gui.models.look import make_delta, read_photo

    pair = page.images.all[row]
    photo = read_photo(pair)
    truth = np.ones(photo.pixels.shape[:2], np.uint8) if label else None
    first, second = predicted(0).ranked, predicted(value_b).ranked
    return make_delta(Pair(pair.image, None, pair.name), photo, first, second, truth, CLASSES).facts


def test_comparing_all_fills_the_tables_and_can_be_cancelled(compared, parts, qtbot, small_data):
    inference = parts[3]
    click(qtbot, compared.panel.measure)
    kind, request, (done, _, progress, found) = inference.calls[-1]
    assert kind == "compare"
    assert len(request.pairs) == 3
    assert len(request.labels) == 3
    assert compared.states[-1] is PageState.RUNNING
    progress(2, 3)
    assert (compared.panel.progress.value(), compared.panel.progress.maximum()) == (2, 3)
    found(CLASSES)
    found(facts_of(compared, 1, 1))
    click(qtbot, compared.panel.cancel)
    assert compared.panel.measure.isVisible()
    assert compared.states[-1] is PageState.READY
    assert compared.panel.coverage.text() == "2 of 3 images compared"  # what is known stays
    click(qtbot, compared.panel.measure)
    done, found = inference.calls[-1][2][0], inference.calls[-1][2][3]
    for row in range(3):
        found(facts_of(compared, row, 1))
    done(Compared("CPU", ("b.png cannot be opened.",)))
    assert compared.panel.coverage.text() == "3 of 3 images compared"
    assert "1 images are left out: b.png" in compared.view.problem.text()
    table = compared.panel.scores
    assert [table.data(table.index(1, column)) for column in range(4)] == ["sky", "0.0", "100.0", "+100.0"]
    compared.panel.figure.setCurrentIndex(1)
    assert table.data(table.index(1, 2)) == "100.0"


def test_the_list_is_sorted_by_what_is_known(compared, parts, qtbot):
    click(qtbot, compared.panel.measure)
    found, done = parts[3].calls[-1][2][3], parts[3].calls[-1][2][0]
    found(CLASSES)
    some = np.zeros((64, 96), np.uint8)
    for row, columns in ((0, 10), (1, 90), (2, 50)):
        some[:] = 0
        some[:, :columns] = 1
        found(facts_of(compared, row, some))
    done(Compared("CPU", ()))
    chosen = compared.images.pair
    compared.images.order.setCurrentIndex(list(Order).index(Order.CHANGE))
    names = [pair.name for pair in compared.images.all]
    assert [pair.name for pair in compared.images.shown] == [names[1], names[2], names[0]]
    assert compared.images.pair == chosen  # the image that is looked at stays
    assert compared.images.images.data(compared.images.images.index(0)) == f"{names[1]}\n93.8%"
    compared.images.order.setCurrentIndex(list(Order).index(Order.GAIN))
    assert [pair.name for pair in compared.images.shown] == [names[0], names[2], names[1]]


def test_a_finished_run_shows_what_it_has_measured_itself(page, parts, tmp_path):
    _, _, runs, _ = parts
    scores = {"source": BEFORE.to_json(), "teacher": SCORES.to_json()}
    runs.set_runs([run_info(tmp_path / "runs" / "a-01", state="finished", scores=scores)])
    assert page.panel.scores.rowCount() == 3
    page.second.model.setCurrentIndex(2)  # the student was not measured
    assert page.panel.scores.rowCount() == 0


def test_without_labels_changes_are_counted_all_the_same(page, parts, qtbot, tmp_path):
    project, dataset, runs, inference = parts
    dataset.set_holdings(take_stock(project.config.data.model_copy(update={"target_labels": None})))
    assert page.panel.no_labels.isVisibleTo(page.panel)
    runs.set_runs([run_info(tmp_path / "runs" / "a-01")])
    qtbot.waitUntil(lambda: bool(inference.calls))
    answer(inference, 0)
    answer(inference, 1)
    assert page.panel.matrix.matrix[0, 1] == 64 * 96
    assert page.panel.measure.isEnabled()
    assert not page.panel.kind.model().item(1).isEnabled()
    assert not page.compare.truth.isVisible()


def test_the_numbers_are_saved_as_csv(compared, tmp_path):
    compared.write_csv(tmp_path / "numbers.csv")
    rows = list(csv.reader((tmp_path / "numbers.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[0][:3] == ["class", "iou_a", "iou_b"]
    assert [row[0] for row in rows[1:5]] == ["road", "sky", "pole", "mean"]
    changes = next(index for index, row in enumerate(rows) if row and row[0] == "changes")
    assert rows[changes + 1][:3] == ["road", "3072", "3072"]


def test_other_models_forget_the_facts(compared):
    cell = Cell(Table.CHANGES, 0, 1)
    compared.panel.cell_chosen.emit(cell)
    compared.second.model.setCurrentIndex(2)
    assert compared.desk.facts == {}
    assert len(compared.images.shown) == 3


def test_facts_of_two_classes_alone_do_not_disturb(compared):
    compared.comparing._on_news(Stage.IMAGE)
    compared.comparing._on_news(Classes(("road", "sky", "pole"), CLASSES.palette))
    fact = facts_of(compared, 2, 1, label=False)
    assert isinstance(fact, ImageFacts)
    compared.comparing._on_news(fact)
    assert fact.image in compared.desk.facts
    compared.comparing._refresh.stop()


# To disk ---------------------------------------------------------------------------------------


def test_predictions_are_written_from_a_dialog(compared, parts, qtbot, tmp_path):
    from masktwins_gui.models.services import FilesWritten
    from masktwins_gui.pages.inspect.files_dialog import FilesDialog

    click(qtbot, compared.toolbar.save)
    dialog = compared.findChild(FilesDialog)
    assert not dialog.start.isEnabled()
    dialog.source.setText(str(tmp_path))
    dialog.output.setText(str(tmp_path / "out"))
    click(qtbot, dialog.start)
    kind, request, (_, _, progress) = parts[3].calls[-1]
    assert (kind, request.kind, request.source) == ("files", "ids", tmp_path)
    assert request.model.which is Model.TEACHER
    progress(3, 10)
    assert dialog.progress.value() == 3
    cancelled = parts[3].cancelled
    click(qtbot, dialog.cancel)
    assert parts[3].cancelled == cancelled + 1
    assert "goes on there" in dialog.verdict.text()
    click(qtbot, dialog.start)
    parts[3].calls[-1][2][0](FilesWritten(tmp_path / "out", 7, 3, ("x.png is damaged.",), "CPU"))
    assert dialog.verdict.text() == "7 pictures written on CPU. 3 were there already. 1 are left out: x.png is damaged."
    assert dialog.open_button.isVisible()
    dialog.reject()


# Other images ----------------------------------------------------------------------------------


def choose(page, value):
    index = page.origin.box.findData(value)
    page.origin.box.setCurrentIndex(index)
    page.origin.box.activated.emit(index)


def test_the_source_camera_a_folder_and_a_video_can_be_looked_at(compared, parts, tmp_path, qtbot):
    import cv2

    choose(compared, "source")
    assert [p.name for p in compared.images.shown] == sorted(p.name for p in parts[1].pairs("source"))
    assert all(pair.label for pair in compared.images.shown)
    cv2.imwrite(str(tmp_path / "one.png"), np.zeros((64, 96, 3), np.uint8))
    compared.origin.open(tmp_path)
    assert [pair.name for pair in compared.images.shown] == ["one"]
    assert compared.origin.box.currentText() == tmp_path.name
    video = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 64))
    for level in (0, 100, 200):
        writer.write(np.full((64, 96, 3), level, np.uint8))
    writer.release()
    compared.origin.open(video)
    assert [pair.name for pair in compared.images.shown] == ["frame_000000", "frame_000001", "frame_000002"]
    compared.images.step(2)
    assert abs(int(compared.loader.photo.pixels.mean()) - 200) < 5
    choose(compared, "target")
    assert len(compared.images.shown) == 3


def test_a_folder_without_images_changes_nothing(compared, tmp_path):
    shown = list(compared.images.shown)
    failures = []
    compared.origin._jobs.submit = lambda key, work, done, failed: failures.append(key)
    compared.origin.open(tmp_path / "none")
    assert failures == ["inspect origin"]
    assert list(compared.images.shown) == shown


# Groups and map --------------------------------------------------------------------------------


def compare_all(page, parts, qtbot, columns=(10, 90, 50)):
    click(qtbot, page.panel.measure)
    found, done = parts[3].calls[-1][2][3], parts[3].calls[-1][2][0]
    found(CLASSES)
    for row, number in enumerate(columns):
        ids = np.zeros((64, 96), np.uint8)
        ids[:, :number] = 1
        found(facts_of(page, row, ids))
    done(Compared("CPU", ()))


def test_groups_show_their_scores_and_list_their_images(compared, parts, qtbot):
    compare_all(compared, parts, qtbot)
    compared.panel.tabs.setCurrentWidget(compared.groups)
    rows = compared.groups.groups.rows
    assert sum(len(row.images) for row in rows) == 3
    assert all(row.name in ("dark", "dusk", "day") for row in rows)
    compared.groups.by.setCurrentIndex(1)
    (row,) = compared.groups.groups.rows
    assert row.change == pytest.approx(100 * 150 / 288)
    assert row.miou_b > row.miou_a
    compared.origin.open(compared.images.all[0].image.parent)
    choose(compared, "both")
    compared.groups.draw()
    names = [group.name for group in compared.groups.groups.rows]
    assert names == ["source", "target"]
    compared.groups.table.clicked.emit(compared.groups.groups.index(1, 0))
    assert {pair.name.partition("/")[0] for pair in compared.images.shown} == {"target"}
    click(qtbot, compared.groups.show_all)
    assert len(compared.images.shown) == len(compared.images.all)


def test_the_map_places_images_and_its_lasso_lists_them(compared, parts, qtbot):
    compare_all(compared, parts, qtbot)
    compared.panel.tabs.setCurrentWidget(compared.map)
    view = compared.map.view
    assert view._points[:, 0] == pytest.approx([10 / 96, 90 / 96, 50 / 96])
    view.lassoed.emit([1, 2])
    assert len(compared.images.shown) == 2
    assert compared.images.note.text() == "2 of 3 images"
    view.chosen.emit(2)
    assert compared.images.pair == compared.images.all[2]
    assert view._current == 2
    click(qtbot, compared.map.show_all)
    assert len(compared.images.shown) == 3


def test_the_map_shows_what_each_encoder_sees(compared, parts, qtbot):
    from dataclasses import replace

    click(qtbot, compared.panel.measure)
    found, done = parts[3].calls[-1][2][3], parts[3].calls[-1][2][0]
    found(CLASSES)
    for row in range(3):
        fact = facts_of(compared, row, 1)
        sides = {"features_a": np.array([row * 10.0, 0.0]), "features_b": np.array([0.0, row * 1.0])}
        found(replace(fact, comparison=replace(fact.comparison, **sides)))
    done(Compared("CPU", ()))
    compared.panel.tabs.setCurrentWidget(compared.map)
    assert not compared.map.side.isVisible()
    compared.map.axes.setCurrentIndex(1)
    wide = np.ptp(compared.map.view._points, axis=0)
    compared.map.side.setChecked(True)
    assert compared.map.side.text() == "Shows A"
    assert np.ptp(compared.map.view._points, axis=0)[0] > 5 * wide[0]
