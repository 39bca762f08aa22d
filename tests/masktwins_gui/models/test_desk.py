"""The facts of the compare desk: sums, order, matrices, CSV; and the small models beside it."""

import csv
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QAbstractItemModelTester

from core.dataset.folders import Pair
from core.dataset.reading import ReadError
from core.evaluation.compare import Ranked, compare
from core.labels import IGNORE
from masktwins_gui.models.cache import BoundedCache
from masktwins_gui.models.desk import Cell, DeskModel, Order, Table, as_csv, mask_of, matrix_of
from masktwins_gui.models.images import ImagesModel
from masktwins_gui.models.layers import colours, hide, label_image, photo_image
from masktwins_gui.models.matrix import MatrixModel, short
from masktwins_gui.models.pictures import brightness, read_predicted
from masktwins_gui.models.services import Classes, ImageFacts

NAMES = ("road", "sky")
CLASSES = Classes(NAMES, ((1, 2, 3), (4, 5, 6)))


def pair(name):
    return Pair(Path(f"{name}.png"), None, name)


def ranked(rows, confidence=255, entropy=None):
    ids = np.array(rows, np.uint8)[None]
    return Ranked(ids, np.full(ids.shape, confidence, np.uint8), entropy)


def fact(name, a, b, label=None, confidence=255, entropy=None):
    truth = None if label is None else np.array(label, np.uint8)
    comparison = compare(ranked(a), ranked(b, confidence, entropy), truth, 2)
    return ImageFacts(pair(name).image, comparison, 0.5)


@pytest.fixture
def desk(qapp):
    desk = DeskModel()
    desk.set_classes(CLASSES)
    desk.add([
        fact("a", [[0, 0, 0, 0]], [[0, 0, 0, 1]], [[0, 0, 0, 0]], confidence=200, entropy=0.1),  # loses
        fact("b", [[0, 0, 0, 0]], [[0, 1, 1, 1]], [[0, 1, 1, 1]], confidence=100, entropy=0.9),  # gains
        fact("c", [[1, 1, 1, 1]], [[1, 1, 0, 0]], confidence=250, entropy=0.5),
    ])  # fmt: skip
    return desk


def test_sums_are_over_the_images_of_the_list(desk):
    assert desk.totals().changes.tolist() == [[4, 4], [2, 2]]
    some = desk.totals([pair("b"), pair("unknown")])
    assert (some.images, some.changes.tolist()) == (1, [[1, 3], [0, 0]])
    assert matrix_of(desk.totals(), Table.CONFUSION_A).tolist() == [[5, 0], [3, 0]]
    assert matrix_of(desk.totals(), Table.DIFFERENCE).tolist() == [[-1, 1], [-3, 3]]


@pytest.mark.parametrize(
    ("order", "names"),
    [
        (Order.NAME, "abcz"), (Order.CHANGE, "bcaz"), (Order.DISAGREEMENT, "bcaz"), (Order.CONFIDENCE, "bacz"),
        (Order.ENTROPY, "bcaz"), (Order.GAIN, "abcz"),
    ],
)  # fmt: skip
def test_images_are_sorted_and_unknown_ones_come_last(desk, order, names):
    pairs = [pair(name) for name in "zcba"]
    assert "".join(p.name for p in desk.sorted(pairs, order)) == names


def test_a_cell_leaves_the_images_with_its_pixels(desk):
    pairs = [pair(name) for name in "abc"]
    assert [p.name for p in desk.sorted(pairs, Order.NAME, Cell(Table.CHANGES, 0, 1))] == ["b", "a"]
    assert [p.name for p in desk.sorted(pairs, Order.NAME, Cell(Table.CONFUSION_B, 0, 1))] == ["a"]
    assert [p.name for p in desk.sorted(pairs, Order.NAME, Cell(Table.DIFFERENCE, 1, 1))] == ["b"]


def test_the_mask_of_a_cell_counts_what_the_matrix_counts(desk):
    a, b, label = ranked([[0, 0, 1, 1]]), ranked([[0, 1, 1, 0]]), np.array([[0, 1, 1, IGNORE]], np.uint8)
    assert mask_of(Cell(Table.CHANGES, 0, 1), a, b, None).tolist() == [[False, True, False, False]]
    assert mask_of(Cell(Table.CONFUSION_A, 1, 0), a, b, label).tolist() == [[False, True, False, False]]
    assert mask_of(Cell(Table.CONFUSION_B, 1, 1), a, b, label).tolist() == [[False, True, True, False]]
    assert mask_of(Cell(Table.DIFFERENCE, 1, 1), a, b, label).tolist() == [[False, True, False, False]]
    assert mask_of(Cell(Table.CONFUSION_A, 1, 0), a, b, None) is None


def test_the_newest_facts_of_an_image_count_and_clearing_forgets(desk, qtbot):
    desk.add([fact("a", [[0]], [[0]])])
    assert desk.value(pair("a"), Order.CHANGE) == 0
    with qtbot.waitSignal(desk.changed):
        desk.clear()
    assert desk.totals().images == 0
    assert desk.pixels(pair("a"), Cell(Table.CHANGES, 0, 1)) == 0


def test_csv_holds_every_figure(desk):
    rows = list(csv.reader(io.StringIO(as_csv(desk.totals(), NAMES))))
    assert rows[1][0] == "road"
    assert [float(cell) for cell in rows[1][1:4]] == pytest.approx([62.5, 80.0, 17.5])  # 5/8, 4/5
    assert [row[0] for row in rows if row and row[0] in list(Table)] == list(Table)
    without = list(csv.reader(io.StringIO(as_csv(desk.totals([pair("c")]), NAMES))))
    assert without[0] == ["changes", "road", "sky"]
    assert without[2] == ["sky", "2", "2"]


# The matrix ------------------------------------------------------------------------------------


def test_the_matrix_speaks(desk, qapp):
    model = MatrixModel()
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    model.set_matrix(Table.CHANGES, np.array([[1200, 7], [0, 3]]), CLASSES)
    assert [[model.data(model.index(r, c)) for c in range(2)] for r in range(2)] == [["1.2k", "7"], ["", "3"]]
    assert model.sentence(0, 1) == "7 pixels change from road to sky"
    assert model.sentence(1, 1) == "3 pixels stay sky"
    tip = model.data(model.index(0, 0), Qt.ItemDataRole.ToolTipRole)
    assert tip == "1,200 pixels stay road"
    assert model.data(model.index(1, 0), Qt.ItemDataRole.BackgroundRole) is None
    model.set_matrix(Table.DIFFERENCE, np.array([[-5, 5], [0, 0]]), CLASSES)
    assert model.data(model.index(0, 0)) == "−5"
    assert model.sentence(0, 1) == "+5 pixels of road predicted as sky by B, compared with A"
    shades = [model.data(model.index(0, c), Qt.ItemDataRole.BackgroundRole).name() for c in range(2)]
    assert shades[0] == shades[1]  # fewer right ones and more wrong ones are both worse
    assert model.headerData(1, Qt.Orientation.Vertical) == "sky"


def test_counts_are_short():
    assert [short(n) for n in (0, 999, 1000, 12_345, 3_400_000, 2_100_000_000)] == [
        "",
        "999",
        "1.0k",
        "12k",
        "3.4M",
        "2.1G",
    ]
    assert short(40, signed=True) == "+40"
    assert short(-1500, signed=True) == "−1.5k"


# Pixels ----------------------------------------------------------------------------------------


def test_labels_are_coloured_by_a_table(qapp):
    ids = np.array([[0, 1, 7, IGNORE]], np.uint8)
    image = label_image(ids, colours(CLASSES.palette, hidden={1}))
    ids[:] = 0  # the image has memory of its own
    assert image.pixelColor(0, 0) == QColor(1, 2, 3)
    assert image.pixelColor(1, 0).alpha() == 0
    assert image.pixelColor(2, 0) == QColor(255, 0, 255)
    assert image.pixelColor(3, 0).alpha() == 0


def test_hiding_sets_ignore():
    ids = np.array([[0, 1], [2, 3]], np.uint8)
    assert hide(ids, np.array([[True, False], [False, True]])).tolist() == [[IGNORE, 1], [2, IGNORE]]


def test_a_photo_keeps_its_colours(qapp):
    image = photo_image(np.array([[[1, 2, 3], [200, 100, 50], [9, 9, 9]]], np.uint8))
    assert image.pixelColor(1, 0) == QColor(200, 100, 50)


def test_predicted_pictures_are_read_by_the_images_name(tmp_path):
    (tmp_path / "sub").mkdir()
    cv2.imwrite(str(tmp_path / "sub" / "a.png"), np.array([[3, 4]], np.uint8))
    found = read_predicted(tmp_path, "sub/a", (1, 2))
    assert found.ids.tolist() == [[3, 4]]
    assert found.confidence is None
    with pytest.raises(ReadError, match=r"b\.png does not exist"):
        read_predicted(tmp_path, "b", (1, 2))
    with pytest.raises(ReadError, match="2 × 1 pixels"):
        read_predicted(tmp_path, "sub/a", (5, 5))


def test_brightness_is_a_share():
    assert brightness(np.full((8, 8, 3), 51, np.uint8)) == pytest.approx(0.2)


# Lists and caches ------------------------------------------------------------------------------


def test_rearranging_keeps_thumbnails_and_adds_notes(qapp):
    model = ImagesModel()
    QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    model.set_pairs([pair("a"), pair("b")])
    asked = []
    model.wanted.connect(asked.append)
    model.set_thumbnail(model.generation, 0, photo_image(np.full((9, 9, 3), 77, np.uint8)))
    model.rearrange([pair("b"), pair("a")], {pair("a").image: "12 %"})
    assert [model.data(model.index(row)) for row in range(2)] == ["b", "a\n12 %"]
    assert model.picture_of(1).pixelColor(4, 4) == QColor(77, 77, 77)
    assert model.picture_of(0).isNull()
    model.data(model.index(1), Qt.ItemDataRole.DecorationRole)
    assert asked == []
    assert model.row_of(pair("a")) == 1
    assert model.row_of(pair("z")) == model.row_of(None) == -1


def test_a_cache_forgets_the_oldest_but_never_what_is_pinned():
    cache = BoundedCache(100, lambda key: key == "pinned")
    cache.put("pinned", 1, 60)
    cache.put("old", 2, 30)
    cache.put("new", 3, 30)
    assert (cache.get("pinned"), cache.get("old"), cache.get("new")) == (1, None, 3)
    cache.put("large", 4, 500)
    assert cache.get("pinned") == 1
    assert cache.num_bytes <= 560
    cache.clear()
    assert (len(cache), cache.num_bytes) == (0, 0)


def test_a_cache_without_pins_keeps_the_newest():
    cache = BoundedCache(10)
    cache.put("a", 1, 50)
    assert cache.get("a") == 1
    cache.put("b", 2, 50)
    assert ("a" in cache, "b" in cache, cache.num_bytes) == (False, True, 50)


def test_memory_stays_flat_over_many_images():
    cache = BoundedCache(1000)
    for number in range(2000):
        cache.put(number, number, 90)
    assert len(cache) == 11
    assert cache.num_bytes == 990
