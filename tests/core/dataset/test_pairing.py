"""Pairing beyond the usual conventions: inferred from the names, stated by templates, chosen by lists."""

from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.dataset.folders import Severity, scan
from core.dataset.templates import TemplateError, parse_pairing
from tests.core.dataset.test_folders import as_dict, codes, pair_up, touch


def numbers(form: str, num: int = 5, first: int = 0) -> list[str]:
    return [form.format(i) for i in range(first, first + num)]


INFERRED = [
    (numbers("IMG_{:04}.JPG"), numbers("IMG_{:04}_mask.png")),
    (numbers("rgb_{:04}.png"), numbers("rgb_{:04}_mask.png")),
    (["a.JPG", "b.JPG"], ["a.mask.png", "b.mask.png"]),
    (["a.JPG", "b.JPG"], ["a-mask.png", "b-mask.png"]),
    (["a.JPG", "b.JPG"], ["a.JPG.mask.png", "b.JPG.mask.png"]),
    (["a.png", "b.png"], ["a_gt_color.png", "b_gt_color.png"]),
    (numbers("{:02}.tif"), numbers("labels{:08}.png")),
    (numbers("{}.tif", 12), numbers("seg-{:03}.tif", 12)),
    (numbers("frame{:05}.png"), numbers("truth{:05}.png")),
    (numbers("frame{:05}.png", 40, 80), numbers("GT{:03}X.png", 40, 80)),
    (numbers("scene1_t{:03}.png"), numbers("scene01_t{:03}_cls.png")),
    (numbers("x/{:04}.png"), numbers("y/lab{:04}.png")),
    (["s1/image.png", "s2/image.png"], ["s1/mask.png", "s2/mask.png"]),
    (["s1/photo.png", "s2/photo.png"], ["s1/truth.png", "s2/truth.png"]),
    (["hash-a3f.png", "hash-b91.png", "hash-c00.png"], ["hash-a3f.seg.png", "hash-b91.seg.png", "hash-c00.seg.png"]),
    (["0007.png", "0008.png", "0009.png"], ["0007_annotator3.png", "0008_annotator1.png", "0009_annotator2.png"]),
]


@pytest.mark.parametrize(("images", "labels"), INFERRED)
def test_names_are_understood(tmp_path, images, labels):
    paired = pair_up(tmp_path, images, labels)
    assert paired == {image.rpartition(".")[0]: label for image, label in zip(images, labels, strict=True)}


def test_the_pairing_is_said_in_words(tmp_path):
    names = numbers("IMG_{:04}.JPG", 39)
    found = scan(touch(tmp_path / "i", *names), touch(tmp_path / "l", *numbers("IMG_{:04}_mask.png", 39)))
    assert found.pairing.startswith("IMG_{id}.JPG ↔ IMG_{id}_mask.png, 39 of 39 images, for example IMG_0000.JPG ↔ ")
    found = scan(touch(tmp_path / "j", *numbers("{:02}.tif")), touch(tmp_path / "m", *numbers("labels{:08}.png")))
    assert found.pairing.startswith("{id:d}.tif ↔ labels{id:d}.png, 5 of 5 images")
    found = scan(touch(tmp_path / "k", "a.png", "b.png"), touch(tmp_path / "n", "a.png"))
    assert found.pairing.startswith("{id}.png ↔ {id}.png, 1 of 2 images")


def test_a_part_of_the_images_may_be_labelled(tmp_path):
    images = touch(tmp_path / "i", *numbers("cam_{:05}.jpg", 100))
    labels = touch(tmp_path / "l", *numbers("lab-{:05}-v2.png", 30, 50))
    found = scan(images, labels)
    assert sum(pair.label is not None for pair in found.pairs) == 30
    assert codes(found) == ["image_without_label"]


NOT_PAIRED = [
    (["01.png", "02.png", "03.png"], ["11.png", "12.png", "13.png"]),  # other numbers
    (numbers("{:02}.png", 20), ["notes7.png", "old_12_b.png"]),  # two that happen to hold a number, each its own way
    (["d1_07.png", "d2_07.png"], ["07_lab.png"]),  # the id is not unique
    (["s1/0001.png", "s2/0001.png"], ["t1/0001.png", "t2/0001.png"]),
    (["f09.png", "f19.png"], ["f10.png", "f12.png"]),
]


@pytest.mark.parametrize(("images", "labels"), NOT_PAIRED)
def test_what_is_not_certain_is_not_paired(tmp_path, images, labels):
    found = scan(touch(tmp_path / "i", *images), touch(tmp_path / "l", *labels))
    assert all(pair.label is None for pair in found.pairs)
    assert [problem.severity for problem in found.problems] == [Severity.ERROR]


def test_competing_explanations_are_refused(tmp_path):
    images = numbers("{:03}.png", 10)
    labels = [f"{i:03}_{9 - i:03}.png" for i in range(10)]
    found = scan(touch(tmp_path / "i", *images), touch(tmp_path / "l", *labels))
    assert codes(found) == ["pairing_ambiguous"]
    assert "--pair" in found.problems[0].message
    assert all(pair.label is None for pair in found.pairs)
    found = scan(tmp_path / "i", tmp_path / "l", pairing="{id}.png:{id}_*.png")
    assert as_dict(found, tmp_path / "l")["001"] == "001_008.png"


ONE_HOT = [
    ["f0_car.png", "f0_road.png", "f1_car.png", "f1_road.png"],
    ["car/f0.png", "car/f1.png", "road/f0.png", "road/f1.png"],
    ["f0/car.png", "f0/road.png", "f1/car.png", "f1/road.png"],
    ["car_f0.png", "car_f1.png", "road_f0.png", "road_f1.png"],
]


@pytest.mark.parametrize("labels", ONE_HOT)
def test_masks_of_one_class_each_are_named_with_the_command_that_combines_them(tmp_path, labels):
    found = scan(touch(tmp_path / "i", "f0.jpg", "f1.jpg"), touch(tmp_path / "l", *labels))
    assert codes(found) == ["one_hot_labels"]
    message = found.problems[0].message
    assert "car" in message
    assert "road" in message
    assert "masktwins convert" in message


# Stated ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pairing", "image", "label"),
    [
        ("IMG_{id}.JPG:IMG_{id}_mask.png", "IMG_07.JPG", "IMG_07_mask.png"),
        ("{id:d}.tif:labels{id:d}.png", "07.tif", "labels0007.png"),
        ("{city}/{id}_x.png:{city}/gt/{id}_y.png", "bonn/3_x.png", "bonn/gt/3_y.png"),
        ("**/{id}.png:**/{id}_*_v?.png".replace("?", "1"), "a/b/q.png", "c/q_anna_v1.png"),
        ("{scene}_{n:d}.jpg:{n:d}/{scene}.png", "yard_004.jpg", "4/yard.png"),
    ],
)
def test_stated_templates(tmp_path, pairing, image, label):
    found = scan(touch(tmp_path / "i", image), touch(tmp_path / "l", label, "other.png"), pairing=pairing)
    assert [pair.label for pair in found.pairs] == [tmp_path / "l" / label]


@pytest.mark.parametrize(
    ("pairing", "words"),
    [
        ("{id}.png", "IMAGE:LABEL"),
        ("a.png:b.png", "same part in braces"),
        ("{id}.png:{name}.png", "same part in braces"),
        ("{id:d}.png:{id}.png", "write :d on both"),
    ],
)
def test_unusable_templates_are_refused(tmp_path, pairing, words):
    with pytest.raises(TemplateError, match=words):
        parse_pairing(pairing)
    found = scan(touch(tmp_path / "i", "a.png"), touch(tmp_path / "l", "a.png"), pairing=pairing)
    assert codes(found) == ["pairing_unusable"]


def test_templates_that_fit_nothing_say_what_stands_there(tmp_path):
    found = scan(touch(tmp_path / "i", "a.png"), touch(tmp_path / "l", "a_m.png"), pairing="{id}.jpg:{id}_m.png")
    assert codes(found) == ["pairing_unusable"]
    assert "0 of 1 images and 1 of 1 labels; here a.png stands against a_m.png" in found.problems[0].message


# Lists and patterns --------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path) -> Path:
    names = [f"{camera}/images/{i:03}.png" for camera in ("day", "night") for i in range(4)]
    return touch(tmp_path / "data", *names, *(name.replace("images", "labels") for name in names))


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("day/images/000\nday/images/002\n", ["day/images/000", "day/images/002"]),
        ("# split\ndata/night/images/001.png\n\n", ["night/images/001"]),
        ("day/images/000.png day/labels/003.png\n", ["day/images/000"]),
    ],
)
def test_lists(tree, tmp_path, text, chosen):
    (tmp_path / "train.txt").write_text(text)
    found = scan(tree, tree, files=str(tmp_path / "train.txt"))
    assert [pair.name for pair in found.pairs] == chosen
    assert all(pair.label for pair in found.pairs)
    if " day" in text:
        assert found.pairs[0].label == tree / "day/labels/003.png"  # the list says so
    assert codes(found) == []


@pytest.mark.parametrize("text", ["image,label\n{0},{1}\n", "id;mask;file\n1;{1};{0}\n", "{0}\t{1}\n", "{0},{1}\n"])
def test_tables(tree, tmp_path, text):
    (tmp_path / "split.csv").write_text(text.format("night/images/003.png", "night/labels/000.png"))
    found = scan(tree / "night/images", tree / "night/labels", files=str(tmp_path / "split.csv"))
    assert [(pair.name, pair.label) for pair in found.pairs] == [("003", tree / "night/labels/000.png")]


def test_lists_of_stems_as_pascal_vocs(tree, tmp_path):
    (tmp_path / "train.txt").write_text("000 1\n002 -1\n")
    found = scan(tree / "day/images", tree / "day/labels", files=str(tmp_path / "train.txt"))
    assert [pair.name for pair in found.pairs] == ["000", "002"]
    assert found.pairs[1].label == tree / "day/labels/002.png"


def test_lists_that_fit_nothing_or_are_missing(tree, tmp_path):
    (tmp_path / "train.txt").write_text("other/x.png\n")
    assert codes(scan(tree, files=str(tmp_path / "train.txt"))) == ["list_without_file"]
    assert codes(scan(tree, files=str(tmp_path / "none.txt"))) == ["list_unreadable"]
    (tmp_path / "part.txt").write_text("day/images/000\nother\n")
    found = scan(tree, files=str(tmp_path / "part.txt"))
    assert [(problem.code, problem.severity) for problem in found.problems] == [("list_without_file", Severity.WARNING)]


@pytest.mark.parametrize(
    ("files", "num"),
    [("day/images/*", 4), ("**/00[1].png", 0), ("**/001.png", 2), ("day/**, !**/003.png", 3), ("!night/**", 4)],
)
def test_patterns_divide_one_tree(tree, files, num):
    found = scan(tree, tree, files=files)
    assert len(found.pairs) == num
    assert codes(found) == ([] if num else ["nothing_chosen"])


@pytest.mark.parametrize(
    ("names", "num"),
    [
        (["a.png", "a-m.png", "b.png", "b-m.png"], 2),
        (["1.png", "1.seg.png", "2.png", "2.seg.png", "3.png"], 2),
        (["x/1.png", "x/1_lab.png", "y/1.png", "y/1_lab.png"], 2),
    ],
)
def test_images_beside_labels_in_one_folder(tmp_path, names, num):
    root = touch(tmp_path / "both", *names)
    found = scan(root, root)
    assert sum(pair.label is not None for pair in found.pairs) == num
    assert len(found.pairs) == len(names) - num


# Properties ----------------------------------------------------------------------------------------

ID = st.from_regex(r"[a-z0-9]{1,6}(_[a-z0-9]{1,4})?", fullmatch=True)
AROUND = st.from_regex(r"([A-Za-z]{1,6}[_.-]?){0,2}", fullmatch=True)
END = st.from_regex(r"([_.-][A-Za-z]{1,6}){0,2}", fullmatch=True)


def _whole(found, images, labels):
    return {Path(pair.image).name: pair.label and pair.label.name for pair in found.pairs} == dict(
        zip(images, labels, strict=True)
    )


@settings(deadline=None, max_examples=80)
@given(
    st.sets(st.integers(0, 9999), min_size=3, max_size=30),
    AROUND,
    END,
    AROUND,
    END,
    st.integers(1, 6),
    st.integers(1, 6),
)
def test_any_renaming_of_numbers_pairs_fully(tmp_path_factory, ids, head, tail, other_head, other_tail, width, other):
    root = tmp_path_factory.mktemp("pairs")
    ordered = sorted(ids)
    images = [f"{head}{i:0{width}}{tail}.jpg" for i in ordered]
    labels = [f"{other_head}{i:0{other}}{other_tail}.png" for i in ordered]
    found = scan(touch(root / "i", *images), touch(root / "l", *labels))
    assert _whole(found, images, labels), found.problems


@settings(deadline=None, max_examples=80)
@given(st.sets(ID, min_size=3, max_size=30), AROUND, END, st.sampled_from(["", "train/", "a/b/"]))
def test_any_ending_or_beginning_added_pairs_fully(tmp_path_factory, ids, head, tail, folder):
    assume(not any(name.startswith(tuple("._")) for name in ids))
    root = tmp_path_factory.mktemp("pairs")
    images = [f"{name}.jpg" for name in sorted(ids)]
    labels = [f"{head}{name}{tail}.png" for name in sorted(ids)]
    found = scan(touch(root / "i", *images), touch(root / "l", *(folder + label for label in labels)))
    assert _whole(found, images, labels), found.problems
