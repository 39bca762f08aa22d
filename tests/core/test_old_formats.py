"""Every format that was ever written opens for ever: `tests/fixtures` holds one folder for each."""

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.commands.cli import main
from core.configuration import settings
from core.dataset.reading import read_image
from core.evaluation.predictor import Predictor
from core.labels import load_space
from core.networks.store import load_model
from core.runs.folder import LABEL_SPACE_FILE, RunFolder

FORMAT_1 = Path(__file__).resolve().parents[1] / "fixtures" / "format_1" / "street.zip"


@pytest.fixture
def street(tmp_path):
    """The project folder of format 1, at another place than where it was made (/srv/street)."""
    with zipfile.ZipFile(FORMAT_1) as archive:
        archive.extractall(tmp_path)
    return tmp_path / "street"


def test_a_project_of_format_1_opens(street):
    config = settings.load(street / "street.toml")
    assert config.data.source_images == street / "data/source/images"
    assert config.training.total_steps == 43
    assert config.network.encoder == "tu-test_efficientnet"


def test_a_run_of_format_1_opens(street):
    run = RunFolder(street / "runs" / "street-01")
    assert run.config().training.source_steps == 40
    assert run.config().mask.block_size == 8
    assert run.config_at(41).mask.block_size == 4
    assert [ref.path.name for ref in run.checkpoints()] == ["source-000040", "step-000003"]
    assert run.status()["state"] == "finished"
    assert [int(row["step"]) for row in run.metrics() if row["total"]] == list(range(1, 44))
    assert load_space(run.path / LABEL_SPACE_FILE).classes == ("class 0", "class 1")


@pytest.mark.parametrize("model", ["runs/street-01", "runs/street-01/checkpoints/step-000003", "bundle"])
def test_a_model_of_format_1_predicts_as_it_did(street, model):
    loaded = load_model(street / model)
    ids = Predictor(loaded.segmenter, device="cpu").predict(read_image(street / "data/target/images/0.png"))
    expected = cv2.imread(str(street / "expected.png"), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(expected)) == {0, 1}
    assert (ids == expected).mean() > 0.995


def test_a_finished_run_of_format_1_prints_its_result(street, capsys):
    assert main(["adapt", "--resume", str(street / "runs" / "street-01"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert result["steps"] == 43
    assert result["teacher"]["miou"] == pytest.approx(36.1811)


@pytest.mark.parametrize("model", ["runs/street-01", "bundle"])
def test_a_model_of_format_1_is_predicted_with_from_the_command_line(street, model, tmp_path):
    assert main(["predict", str(street / model), str(street / "data/target/images"), str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").rglob("*.png"))) == 3
