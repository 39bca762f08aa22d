from pathlib import Path

import pytest

from masktwins_gui.models.beside import propose


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir(parents=True)


@pytest.mark.parametrize(
    ("role", "chosen"),
    [
        ("source_images", "source/images"),
        ("source_labels", "source/labels"),
        ("target_images", "target/images"),
        ("target_labels", "target_eval/labels"),
    ],
)
def test_the_demo_is_found_from_any_of_its_folders(tmp_path, role, chosen):
    everything = {
        "source_images": "source/images",
        "source_labels": "source/labels",
        "target_images": "target/images",
        "target_labels": "target_eval/labels",
        "evaluation_images": "target_eval/images",
    }
    make(tmp_path, *everything.values(), "runs/run-01")
    found = propose(role, tmp_path / chosen)
    assert found == {r: tmp_path / p for r, p in everything.items() if r != role}


def test_labels_beside_images_without_a_camera_s_name(tmp_path):
    make(tmp_path, "images", "masks", "notes")
    assert propose("source_images", tmp_path / "images") == {"source_labels": tmp_path / "masks"}
    assert propose("target_images", tmp_path / "images")["target_labels"] == tmp_path / "masks"


def test_names_with_the_camera_in_them(tmp_path):
    make(tmp_path, "day_images", "day_labels", "dusk_images")
    found = propose("source_images", tmp_path / "day_images")
    assert found == {"source_labels": tmp_path / "day_labels", "target_images": tmp_path / "dusk_images"}


def test_strange_folders_propose_nothing(tmp_path):
    make(tmp_path, "holiday", "music")
    assert propose("source_images", tmp_path / "holiday") == {}
    assert propose("source_images", tmp_path / "gone") == {}
