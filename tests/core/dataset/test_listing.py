from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.configuration.sections import DataConfig
from core.dataset.listing import list_data
from core.dataset.reading import read_label
from core.errors import RunError
from core.labels import IGNORE
from core.runs.create import create_run, list_run
from core.runs.folder import RunFolder
from tests.core.tiny import tiny_config


def test_roles(tiny_data):
    listing = list_data(tiny_config(tiny_data).data)
    assert (len(listing.source), len(listing.target), len(listing.evaluation)) == (6, 5, 3)
    assert listing.space.num_classes == 3
    assert all(pair.label is None for pair in listing.target)  # training cannot see a target label


def test_a_run_keeps_its_label_space_and_fingerprint(tiny_data, tmp_path):
    run = create_run(tiny_config(tiny_data), tmp_path / "run")
    listing = list_run(RunFolder(tmp_path / "run"))
    assert run.config().data_fingerprint == listing.fingerprint
    assert listing.space.classes == list_data(tiny_config(tiny_data).data).space.classes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data__source_images": None}, "source images"),
        ({"data__source_labels": None}, "source labels"),
        ({"data__target_images": None}, "target images"),
    ],
)
def test_missing_choices_are_named(tiny_data, changes, words):
    with pytest.raises(RunError, match=words):
        list_data(tiny_config(tiny_data, **changes).data)


def test_folders_that_are_missing_or_empty_are_named(tiny_data, tmp_path):
    with pytest.raises(RunError, match="nowhere"):
        list_data(tiny_config(tiny_data, data__source_images=tmp_path / "nowhere").data)
    with pytest.raises(RunError, match=tmp_path.name):
        list_data(tiny_config(tiny_data, data__target_images=tmp_path).data)
    with pytest.raises(RunError, match="no label images"):
        list_data(tiny_config(tiny_data, data__source_labels=tmp_path).data)


def test_nothing_is_made_when_the_data_cannot_be_used(tiny_data, tmp_path):
    with pytest.raises(RunError):
        create_run(tiny_config(tiny_data, data__target_images=tmp_path), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# Two cameras ---------------------------------------------------------------------------------------


def two_cameras(root: Path, source: np.ndarray, target: np.ndarray) -> DataConfig:
    """One image with a label for each camera."""
    for camera, label in (("s", source), ("t", target)):
        for kind in ("images", "labels"):
            (root / camera / kind).mkdir(parents=True)
        Image.fromarray(np.random.default_rng(len(camera)).integers(0, 255, (*label.shape[:2], 3), np.uint8)).save(
            root / camera / "images/a.png"
        )
        Image.fromarray(label).save(root / camera / "labels/a.png")
    return DataConfig(
        source_images=root / "s/images", source_labels=root / "s/labels", target_images=root / "t/images",
        target_labels=root / "t/labels",
    )  # fmt: skip


def halves(*values: int) -> np.ndarray:
    return np.array(values, np.uint8)[None].repeat(24, axis=0).repeat(24 // len(values), axis=1)


IDS = """
[[classes]]
name = "road"
values = [7]
[[classes]]
name = "Car"
values = [26, 28]
[[classes]]
name = "boat"
values = [30]
"""
COLOURS = """
encoding = "colours"
[[classes]]
name = "car"
colour = [0, 0, 142]
[[classes]]
name = "road"
colour = [128, 64, 128]
"""


@pytest.mark.parametrize("how", ["settings", "beside the labels"])
def test_each_camera_may_have_a_label_space_and_classes_are_matched_by_name(tmp_path, how):
    colours = np.array([(0, 0, 142), (128, 64, 128)], np.uint8)
    data = two_cameras(tmp_path, colours[halves(0, 1)], halves(7, 28, 30))
    source, target = (tmp_path / camera / "labels/label_space.toml" for camera in "st")
    if how == "settings":
        source, target = tmp_path / "source.toml", tmp_path / "target.toml"
        data = data.model_copy(update={"source_label_space": str(source), "target_label_space": str(target)})
    source.write_text(COLOURS)
    target.write_text(IDS)
    listing = list_data(data)
    assert listing.space.classes == listing.target_space.classes == ("car", "road")
    assert read_label(tmp_path / "s/labels/a.png", listing.space)[0, [0, 23]].tolist() == [0, 1]
    assert read_label(tmp_path / "t/labels/a.png", listing.target_space)[0, [0, 9, 23]].tolist() == [1, 0, IGNORE]
    assert "ignored: boat" in listing.target_recognition.explanation
    run = create_run(tiny_config(tmp_path, **{f"data__{k}": v for k, v in data.model_dump().items()}), tmp_path / "run")
    assert list_run(run).target_space == listing.target_space


def test_masks_of_1_and_masks_of_255_mean_the_same_two_classes(tmp_path):
    listing = list_data(two_cameras(tmp_path, halves(0, 1), halves(0, 255)))
    label = read_label(tmp_path / "t/labels/a.png", listing.target_space)
    assert label[0, [0, 23]].tolist() == [0, 1]
    assert "255 as 'class 1'" in listing.target_recognition.explanation


@pytest.mark.parametrize(
    "target", [np.array([(9, 9, 200), (200, 9, 9)], np.uint8)[halves(0, 1)], halves(0, 85, 170, 255)]
)
def test_labels_of_another_kind_are_not_guessed(tmp_path, target):
    with pytest.raises(RunError, match=r"written otherwise .*data\.target_label_space"):
        list_data(two_cameras(tmp_path, halves(0, 1, 2), target))


def test_names_without_a_common_class_are_refused(tmp_path):
    data = two_cameras(tmp_path, halves(0, 1), halves(7, 30))
    (tmp_path / "t/labels/label_space.toml").write_text(IDS)
    with pytest.raises(RunError, match="no name in common"):
        list_data(data)


def test_unknown_values_stop_a_new_run_unless_they_are_allowed(tmp_path):
    data = two_cameras(tmp_path, halves(7, 26, 99, 99), halves(7, 30))
    (tmp_path / "label_space.toml").write_text(IDS)
    data = data.model_copy(update={"label_space": str(tmp_path / "label_space.toml")})
    with pytest.raises(RunError, match=r"source labels: 50\.0 % .* 99 \(50\.0 %\)"):
        list_data(data)
    allowed = list_data(data.model_copy(update={"allow_unknown": 0.6}))
    assert "99" in allowed.warnings[0].message


def test_jpeg_labels_stop_a_new_run(tmp_path):
    data = two_cameras(tmp_path, halves(0, 1), halves(0, 1))
    (tmp_path / "space.toml").write_text('[[classes]]\nname = "a"\n[[classes]]\nname = "b"\n')
    Image.fromarray(halves(0, 1)).save(tmp_path / "s/labels/b.jpg")
    (tmp_path / "s/images/b.png").write_bytes((tmp_path / "s/images/a.png").read_bytes())
    with pytest.raises(RunError, match=r"1 of the labels is a JPEG, such as b\.jpg"):
        list_data(data.model_copy(update={"label_space": str(tmp_path / "space.toml")}))


def test_one_tree_for_both_cameras(tiny_data, tmp_path):
    data = DataConfig(
        source_images=tiny_data, source_labels=tiny_data, target_images=tiny_data,
        source_files="source/**", target_files="target/images/*",
    )  # fmt: skip
    listing = list_data(data)
    assert (len(listing.source), len(listing.target)) == (6, 5)
    assert {pair.image.parent.parent.name for pair in listing.source} == {"source"}
