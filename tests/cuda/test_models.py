"""`evaluate`, `predict` and `export` on a card give what they give on the CPU."""

import json

import cv2
import numpy as np
import pytest
import torch

from core.commands.cli import main
from core.evaluation.predictor import PredictionError, Predictor
from tests.core.networks.small import network
from tests.core.tiny import train

pytestmark = pytest.mark.cuda


@pytest.fixture
def run(make_run):
    run = make_run()
    train(run)
    return run


def test_evaluate(run, tiny_data, device, capsys):
    words = ["evaluate", str(run.path), "--images", str(tiny_data / "eval/images"), "--labels"]
    words += [str(tiny_data / "eval/labels"), "--precision", "fp32", "--json"]
    found = []
    for where in ("cpu", device):
        assert main([*words, "--device", where]) == 0
        found.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    assert found[0]["miou"] == pytest.approx(found[1]["miou"], abs=0.2)
    assert sum(map(sum, found[0]["confusion"])) == sum(map(sum, found[1]["confusion"]))


@pytest.mark.parametrize("options", [[], ["--window", "48", "--batch", "2"]])
def test_predict(run, tiny_data, device, tmp_path, options):
    for where in ("cpu", device):
        out = str(tmp_path / where.replace(":", ""))
        words = ["predict", str(run.path), str(tiny_data / "target/images"), out, "--ids", "--precision", "fp32"]
        assert main([*words, "--device", where, *options]) == 0
    for path in (tmp_path / "cpu").glob("*.png"):
        here = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        there = cv2.imread(str(tmp_path / device.replace(":", "") / path.name), cv2.IMREAD_UNCHANGED)
        assert np.mean(here == there) > 0.995


def test_export(run, tiny_data, device, tmp_path, capsys):
    words = ["export", str(run.path), str(tmp_path / "bundle"), "--format", "safetensors,onnx", "--json"]
    assert main([*words, "--images", str(tiny_data / "target/images"), "--device", device]) == 0
    parity = json.loads(capsys.readouterr().out.splitlines()[-1])["parity"]
    assert min(each["equal_pixels"] for each in parity.values()) >= 0.999


def test_an_image_that_is_too_large_names_the_window_and_the_window_works(device, on_card, monkeypatch):
    predictor = Predictor(network(encoder="tu-test_resnet").eval(), device)
    image = np.zeros((4096, 4096, 3) if on_card else (128, 128, 3), np.uint8)
    if on_card:
        total = torch.cuda.get_device_properties(device).total_memory
        limit = torch.cuda.memory_reserved(device) + 64 * 2**20
        torch.cuda.set_per_process_memory_fraction(limit / total, device)
    else:
        forward = Predictor._forward
        monkeypatch.setattr(Predictor, "_forward", lambda self, x: forward(self, x) if x.shape[-1] < 128 else short())
    try:
        with pytest.raises(PredictionError, match="--window"):
            predictor.predict(image)
    finally:
        if on_card:
            torch.cuda.set_per_process_memory_fraction(1.0, device)
    assert Predictor(predictor.segmenter, device, (64, 64), batch_size=1).predict(image[:128, :128]).shape == (128, 128)


def short():
    raise torch.OutOfMemoryError("CUDA out of memory")
