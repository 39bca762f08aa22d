"""Finding and pairing files: names only, so the files here are empty."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.dataset import names
from core.dataset.folders import Scan, Severity, scan
from core.dataset.matching import match
from core.dataset.walking import File


def touch(root: Path, *files: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def pair_up(tmp_path: Path, images: list[str], labels: list[str]) -> dict[str, str | None]:
    found = scan(touch(tmp_path / "i", *images), touch(tmp_path / "l", *labels))
    return as_dict(found, tmp_path / "l")


def as_dict(found: Scan, labels: Path) -> dict[str, str | None]:
    return {pair.name: pair.label.relative_to(labels).as_posix() if pair.label else None for pair in found.pairs}


def codes(found: Scan) -> list[str]:
    return sorted(problem.code for problem in found.problems)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("a.jpg", "a.png"),
        ("A.JPG", "a.Png"),
        ("x/y/a.tiff", "x/y/a.bmp"),
        ("a.webp", "a_mask.png"),
        ("a.jpeg", "a_labels.tif"),
        ("a_rgb.png", "a_label.png"),
        ("a.png", "a_annotation.png"),
        ("a_image.png", "a_gt.png"),
        ("a.png", "a_L.png"),
        ("image_0001.png", "mask_0001.png"),
        ("img_7.png", "label_7.png"),
        ("aachen/aachen_0_19_leftImg8bit.png", "aachen/aachen_0_19_gtFine_labelIds.png"),
        ("aachen/aachen_0_19_leftImg8bit.png", "aachen/aachen_0_19_gtFine_labelTrainIds.png"),
        ("aachen/aachen_0_19_leftImg8bit_foggy_beta_0.02.png", "aachen/aachen_0_19_gtFine_labelIds.png"),
        ("fog/G1/a_rgb_anon.png", "fog/G1/a_gt_labelTrainIds.png"),
        ("train/aachen/a_leftImg8bit.png", "aachen/a_gtFine_labelIds.png"),  # chosen at different depths
        ("train/images/a.png", "train/labels/a.png"),
        ("images/s1/a.png", "masks/s1/a.png"),
        ("ä.png", "a\u0308.png"),  # composed and decomposed
        ("frame.one.png", "frame.one.png"),
    ],
)
def test_conventions(tmp_path, image, label):
    found = scan(touch(tmp_path / "i", image), touch(tmp_path / "l", label))
    assert [pair.label for pair in found.pairs] == [tmp_path / "l" / label]
    assert found.pairs[0].image == tmp_path / "i" / image
    assert found.pairs[0].name == image.rpartition(".")[0]
    assert codes(found) == []


def test_same_name_in_other_folders_is_not_guessed(tmp_path):
    paired = pair_up(tmp_path, ["s1/0001.png", "s2/0001.png", "s3/b.png"], ["t1/0001.png", "t3/b.png"])
    assert paired == {"s1/0001": None, "s2/0001": None, "s3/b": "t3/b.png"}


def test_nested_folders_with_repeating_names(tmp_path):
    paired = pair_up(tmp_path, ["s1/images/1.png", "s2/images/1.png"], ["s1/labels/1.png", "s2/labels/1.png"])
    assert paired == {"s1/images/1": "s1/labels/1.png", "s2/images/1": "s2/labels/1.png"}


def test_a_mark_in_the_images_own_name_does_no_harm(tmp_path):
    paired = pair_up(tmp_path, ["a.png", "a_mask.png"], ["a.png", "a_mask.png"])
    assert paired == {"a": "a.png", "a_mask": "a_mask.png"}


def test_case_matters_where_it_must(tmp_path):
    paired = pair_up(tmp_path, ["a.png", "A.png"], ["a.png", "A.png"])
    assert paired == {"A": "A.png", "a": "a.png"}


def test_order_among_several_labels(tmp_path):
    labels = ["a_gtFine_color.png", "a_gtFine_instanceIds.png", "a_gtFine_labelIds.png", "a_gtFine_labelTrainIds.png"]
    found = scan(touch(tmp_path / "i", "a_leftImg8bit.png"), touch(tmp_path / "l", *labels))
    assert found.pairs[0].label == tmp_path / "l" / "a_gtFine_labelTrainIds.png"
    (problem,) = found.problems
    assert (problem.code, problem.severity) == ("several_labels", Severity.WARNING)
    assert problem.paths == tuple(tmp_path / "l" / name for name in labels)


@pytest.mark.parametrize(
    ("labels", "first"),
    [
        (["a.jpg", "a.png"], "a.png"),  # lossless first
        (["a_mask.png", "a.png"], "a.png"),  # the same name first
        (["a_color.png", "a_mask.jpg"], "a_mask.jpg"),
        (["mask_a.png", "a_mask.png"], "a_mask.png"),
        (["A.png", "a.png"], "a.png"),
    ],
)
def test_preference(tmp_path, labels, first):
    assert pair_up(tmp_path, ["a.png"], labels) == {"a": first}


def test_two_images_of_one_name(tmp_path):
    found = scan(touch(tmp_path / "i", "a.png", "a.jpg", "b.png"))
    assert [pair.image.name for pair in found.pairs] == ["a.jpg", "b.png"]
    (problem,) = found.problems
    assert problem.code == "duplicate_image"
    assert {path.name for path in problem.paths} == {"a.jpg", "a.png"}
    assert "a.jpg is used" in problem.message


def test_partners_that_are_missing(tmp_path):
    found = scan(touch(tmp_path / "i", "a.png", "b.png"), touch(tmp_path / "l", "b.png", "c.png"))
    assert codes(found) == ["image_without_label", "label_without_image"]
    by_code = {problem.code: problem for problem in found.problems}
    assert by_code["image_without_label"].paths == (tmp_path / "i/a.png",)
    assert by_code["label_without_image"].paths == (tmp_path / "l/c.png",)
    assert by_code["label_without_image"].details == {"role": "labels"}
    assert [pair.name for pair in found.pairs] == ["a", "b"]


def test_nothing_pairs(tmp_path):
    found = scan(touch(tmp_path / "i", "a.png"), touch(tmp_path / "l", "b.png"))
    assert codes(found) == ["no_pairs"]
    assert found.problems[0].severity is Severity.ERROR
    assert "a.png stands against b.png" in found.problems[0].message


def test_hidden_and_system_files_are_passed_over(tmp_path):
    junk = [".hidden.png", "._a.png", ".git/x.png", "Thumbs.db", "__MACOSX/a.png", "notes.txt", "list.csv"]
    found = scan(touch(tmp_path / "i", "a.png", *junk), touch(tmp_path / "l", "a.png", *junk))
    assert [pair.name for pair in found.pairs] == ["a"]
    assert codes(found) == []


def test_a_text_file_in_a_labels_place_is_reported(tmp_path):
    found = scan(touch(tmp_path / "i", "a.png", "b.png"), touch(tmp_path / "l", "a.png", "b.json", "c.json"))
    assert codes(found) == ["image_without_label", "not_an_image"]
    problem = next(p for p in found.problems if p.code == "not_an_image")
    assert problem.paths == (tmp_path / "l/b.json",)


@pytest.mark.parametrize(
    ("images", "code"), [("missing", "folder_missing"), ("file.png", "not_a_folder"), ("clip.MP4", "video_file")]
)
def test_a_folder_that_is_none(tmp_path, images, code):
    touch(tmp_path, "file.png", "clip.MP4")
    found = scan(tmp_path / images)
    assert codes(found) == [code]
    assert found.problems[0].severity is Severity.ERROR
    assert found.problems[0].details == {"role": "images"}
    assert found.pairs == ()


def test_missing_labels_leave_the_images(tmp_path):
    found = scan(touch(tmp_path / "i", "a.png"), tmp_path / "none")
    assert codes(found) == ["folder_missing"]
    assert found.problems[0].details == {"role": "labels"}
    assert [pair.label for pair in found.pairs] == [None]


def test_empty_folders(tmp_path):
    found = scan(touch(tmp_path / "i"), touch(tmp_path / "l", "a.png"))
    assert codes(found) == ["no_images"]
    found = scan(touch(tmp_path / "j", "a.png"), touch(tmp_path / "m", "a.txt"))
    assert codes(found) == ["no_labels"]
    found = scan(touch(tmp_path / "k", "clip.mp4"))
    assert "take frames" in found.problems[0].message


def test_images_and_labels_in_one_folder_by_marks(tmp_path):
    folder = touch(tmp_path / "both", "a.jpg", "a_mask.png", "b.jpg", "b_mask.png")
    found = scan(folder, folder)
    assert as_dict(found, folder) == {"a": "a_mask.png", "b": "b_mask.png"}
    assert codes(found) == []


def test_images_and_labels_in_one_folder_by_format(tmp_path):
    folder = touch(tmp_path / "both", "a.jpg", "a.png", "b.jpg", "b.png")
    found = scan(folder, folder)
    assert as_dict(found, folder) == {"a": "a.png", "b": "b.png"}
    assert codes(found) == []


def test_label_folder_below_the_image_folder_and_the_other_way_round(tmp_path):
    root = touch(tmp_path / "r", "a.jpg", "labels/a.png")
    assert as_dict(scan(root, root / "labels"), root) == {"a": "labels/a.png"}
    root = touch(tmp_path / "s", "a.png", "images/a.jpg")
    found = scan(root / "images", root)
    assert as_dict(found, root) == {"a": "a.png"}
    assert codes(found) == []


def test_one_root_for_both_with_folders_by_content(tmp_path):
    root = touch(tmp_path / "r", "images/a.png", "images/b.png", "labels/a.png", "labels/b.png")
    found = scan(root, root)
    assert as_dict(found, root) == {"images/a": "labels/a.png", "images/b": "labels/b.png"}


class _Place(str):
    """Text that counts how often it is hashed."""

    hashed = 0

    def __hash__(self) -> int:
        _Place.hashed += 1
        return super().__hash__()


def test_one_name_in_many_folders_is_not_compared_with_each(monkeypatch):
    """A folder per image, and labels elsewhere: all images have one name, and so have all labels."""
    num = 300
    images = [File(f"image-{i}/", "view", ".png", f"i/{i}") for i in range(num)]
    labels = [File(_Place(f"label-{i}/"), "view_mask", ".png", f"l/{i}") for i in range(num)]
    monkeypatch.setattr(_Place, "hashed", 0)
    assert match(images, labels) == {}
    assert _Place.hashed < 10 * num  # comparing each with each would be 90,000


def test_links_are_followed_and_loops_end(tmp_path):
    data = touch(tmp_path / "data", "a.png")
    root = touch(tmp_path / "r", "b.png")
    (root / "linked").symlink_to(data)
    (root / "up").symlink_to(root)
    (data / "loop").symlink_to(data)
    (root / "above").symlink_to(tmp_path)  # whose visit would come back here
    (root / "c.png").symlink_to(data / "a.png")
    assert [pair.name for pair in scan(root).pairs] == ["b", "c", "linked/a"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission(tmp_path):
    root = touch(tmp_path / "r", "a.png", "shut/b.png")
    (root / "shut").chmod(0)
    try:
        found = scan(root)
    finally:
        (root / "shut").chmod(0o755)
    assert codes(found) == ["folder_unreadable"]
    assert [pair.name for pair in found.pairs] == ["a"]


def test_a_folder_that_cannot_be_listed(tmp_path, monkeypatch):
    root = touch(tmp_path / "r", "a.png", "shut/b.png")
    real = os.scandir

    def refuse(folder):
        if str(folder).endswith("shut"):
            raise PermissionError(13, "Permission denied", folder)
        return real(folder)

    monkeypatch.setattr("core.dataset.walking.os.scandir", refuse)
    found = scan(root)
    assert codes(found) == ["folder_unreadable"]
    assert found.problems[0].paths == (root / "shut",)
    assert [pair.name for pair in found.pairs] == ["a"]


# Properties ----------------------------------------------------------------------------------------

STEM = st.text("abcAB012_-. äé語", min_size=1, max_size=10).filter(
    lambda s: s.strip(" .") == s and not names.is_system_name(s)
)


@settings(deadline=None)
@given(stem=STEM, mark=st.sampled_from(names.LABEL_MARKS))
def test_a_mark_is_taken_off_once(stem, mark):
    assert names.label_rank(stem + mark) is not None
    # A stem may end so that a longer mark is found; else exactly the mark goes.
    assert names.fold(stem + mark).startswith(names.label_base(stem + mark))


@settings(deadline=None, max_examples=40)
@given(stems=st.sets(STEM, max_size=12), folder=st.sampled_from(["", "a/", "a/b/"]))
def test_equal_names_always_pair(tmp_path_factory, stems, folder):
    root = tmp_path_factory.mktemp("pairs")
    images = touch(root / "i", *(f"{folder}{stem}.jpg" for stem in stems))
    labels = touch(root / "l", *(f"{folder}{stem}.png" for stem in stems))
    found = scan(images, labels)
    assert {pair.name for pair in found.pairs} == {folder + stem for stem in stems}
    assert all(pair.label == labels / f"{pair.name}.png" for pair in found.pairs)
    assert list(found.pairs) == sorted(found.pairs, key=lambda pair: pair.name)


def test_real_data(camvid):
    found = scan(camvid / "source/images", camvid / "source/labels")
    assert len(found.pairs) == 238
    assert all(pair.label is not None for pair in found.pairs)
    assert codes(found) == []
