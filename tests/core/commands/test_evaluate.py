"""`masktwins evaluate`: what is measured is said, and what cannot be measured is no success."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.commands.cli import main
from core.evaluation.scoring import likely_exchanged
from core.events import Scores, Warned
from core.runs.create import create_run
from tests.core.tiny import tiny_config, train


@pytest.fixture(scope="module")
def run(tiny_data, tmp_path_factory) -> Path:
    config = tiny_config(tiny_data, training__steps=2, training__source_steps=2)
    made = create_run(config, tmp_path_factory.mktemp("evaluate") / "run")
    train(made)
    return made.path


@pytest.fixture
def labels(tiny_data, tmp_path) -> Path:
    """The target labels, with a share of pixels of a value that no class has."""
    folder = tmp_path / "labels"
    folder.mkdir()
    for path in (tiny_data / "eval/labels").iterdir():
        label = np.array(Image.open(path))
        label[:3] = 77
        Image.fromarray(label).save(folder / path.name)
    return folder


def evaluate(run: Path, images: Path, labels: Path, *words: str) -> int:
    return main(["evaluate", str(run), "--images", str(images), "--labels", str(labels), *words])


def test_unknown_values_are_told_and_fail_above_one_percent(run, tiny_data, labels, capsys):
    assert evaluate(run, tiny_data / "eval/images", labels, "--json") == 1
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["unknown_values"] == {"77": pytest.approx(3 / 64)}
    assert "77 (4.7 %)" in err
    assert "--allow-unknown" in err


def test_unknown_values_may_be_allowed(run, tiny_data, labels, capsys):
    assert evaluate(run, tiny_data / "eval/images", labels, "--allow-unknown", "0.05") == 0
    assert "77 (4.7 %)" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        evaluate(run, tiny_data / "eval/images", labels, "--allow-unknown", "5")


def test_few_unknown_values_are_told_but_do_not_fail(run, tiny_data, labels, capsys):
    for path in labels.iterdir():
        label = np.array(Image.open(path))
        label[label == 77] = 1
        label[0, 0] = 77
        Image.fromarray(label).save(path)
    assert evaluate(run, tiny_data / "eval/images", labels) == 0
    assert "77 (0.024 %)" in capsys.readouterr().err


def test_a_folder_that_does_not_exist_is_said_so(run, tiny_data, capsys):
    assert evaluate(run, Path("nope"), tiny_data / "eval/labels") == 1
    assert "The folder nope does not exist" in capsys.readouterr().err


def test_the_pairing_is_said_and_can_be_stated(run, tiny_data, tmp_path, capsys):
    labels = tmp_path / "named otherwise"
    labels.mkdir()
    for path in (tiny_data / "eval/labels").iterdir():
        (labels / f"x{path.stem}y{path.name}").write_bytes(path.read_bytes())
    assert evaluate(run, tiny_data / "eval/images", labels, "--pair", "{id}.png:x{id}y*.png") == 0
    assert "3 of 3 images" in capsys.readouterr().err


def test_a_label_space_beside_the_labels_wins_and_classes_are_matched_by_name(run, tiny_data, tmp_path, capsys):
    assert evaluate(run, tiny_data / "eval/images", tiny_data / "eval/labels", "--json") == 0
    expected = json.loads(capsys.readouterr().out.splitlines()[-1])
    labels = tmp_path / "exchanged"
    labels.mkdir()
    for path in (tiny_data / "eval/labels").iterdir():
        Image.fromarray(np.array([12, 11, 10], np.uint8)[np.array(Image.open(path))]).save(labels / path.name)
    rows = "".join(f'[[classes]]\nname = "class {i}"\nvalues = [{12 - i}]\n' for i in (2, 0, 1))
    (labels / "label_space.toml").write_text(rows)
    assert evaluate(run, tiny_data / "eval/images", labels, "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == expected


def test_two_exchanged_classes_are_named():
    scores = Scores(0.0, 0.0, {}, ((10, 90, 0), (80, 20, 0), (0, 0, 50)))
    assert "'b' are predicted as 'a'" in likely_exchanged(scores, ["a", "b", "c"])
    assert likely_exchanged(Scores(0.0, 0.0, {}, ((90, 10), (80, 20))), ["a", "b"]) == ""
    assert likely_exchanged(Scores(0.0, 0.0, {}, ((0, 0), (80, 20))), ["a", "b"]) == ""


def test_a_run_warns_of_exchanged_classes_after_its_source_only_steps(tiny_data, tmp_path, monkeypatch):
    monkeypatch.setattr("core.training.judging.likely_exchanged", lambda scores, names: f"{len(names)} classes")
    made = create_run(tiny_config(tiny_data, training__steps=2, training__source_steps=2), tmp_path / "run")
    warned = [event for event in train(made) if isinstance(event, Warned) and event.code == "classes_exchanged"]
    assert [event.message for event in warned] == ["3 classes"]
