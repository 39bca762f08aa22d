from pathlib import Path

import pytest

from masktwins_gui.models.beside import propose


@pytest.fixture
def home(tmp_path):
    """A folder with nothing beside it: the proposals look two levels up, where other tests' folders would be."""
    folder = tmp_path / "alone" / "home"
    folder.mkdir(parents=True)
    return folder


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
def test_the_demo_is_found_from_any_of_its_folders(home, role, chosen):
    everything = {
        "source_images": "source/images",
        "source_labels": "source/labels",
        "target_images": "target/images",
        "target_labels": "target_eval/labels",
        "evaluation_images": "target_eval/images",
    }
    make(home, *everything.values(), "runs/run-01")
    found = propose(role, home / chosen)
    assert found == {r: home / p for r, p in everything.items() if r != role}


def test_labels_beside_images_without_a_camera_s_name(home):
    make(home, "images", "masks", "notes")
    assert propose("source_images", home / "images") == {"source_labels": home / "masks"}
    assert propose("target_images", home / "images")["target_labels"] == home / "masks"


def test_names_with_the_camera_in_them(home):
    make(home, "day_images", "day_labels", "dusk_images")
    found = propose("source_images", home / "day_images")
    assert found == {"source_labels": home / "day_labels", "target_images": home / "dusk_images"}


def test_strange_folders_propose_nothing(home):
    make(home, "holiday", "music")
    assert propose("source_images", home / "holiday") == {}
    assert propose("source_images", home / "gone") == {}
