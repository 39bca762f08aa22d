import pytest

from core.dataset.listing import list_data
from core.errors import RunError
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
    with pytest.raises(RunError, match="has a label"):
        list_data(tiny_config(tiny_data, data__source_labels=tmp_path).data)


def test_nothing_is_made_when_the_data_cannot_be_used(tiny_data, tmp_path):
    with pytest.raises(RunError):
        create_run(tiny_config(tiny_data, data__target_images=tmp_path), tmp_path / "run")
    assert not (tmp_path / "run").exists()
