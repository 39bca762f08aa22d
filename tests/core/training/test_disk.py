from collections import namedtuple

import pytest
from torch import nn

from core.configuration.training import TrainingConfig
from core.errors import RunError
from core.networks.store import load_model
from core.training import disk
from core.training.disk import check_space, checkpoint_bytes, space_needed
from tests.core.tiny import train

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def network():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))


def free(monkeypatch, size):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: Usage(0, 0, size))


def test_a_checkpoint_has_the_size_that_is_foretold(make_run):
    run = make_run(network__encoder="mit_b0", training__steps=1, training__source_steps=1)
    train(run)
    for ref in run.checkpoints():
        found = sum(file.stat().st_size for file in ref.path.glob("*.safetensors"))
        network = load_model(run.path).segmenter
        assert checkpoint_bytes(network, with_teacher=not ref.is_source) == pytest.approx(found, rel=0.02)


def test_the_run_keeps_the_newest_the_best_and_the_one_being_written(network):
    one, source = checkpoint_bytes(network), checkpoint_bytes(network, with_teacher=False)
    training = TrainingConfig(steps=1000, source_steps=10, checkpoint_interval=100, keep_checkpoints=3)
    assert space_needed(network, training) - disk.SPARE == 5 * one + source
    short = training.model_copy(update={"steps": 100, "source_steps": 0})  # one checkpoint, and never a second
    assert space_needed(network, short) - disk.SPARE == 3 * one
    alone = training.model_copy(update={"steps": 0})
    assert space_needed(network, alone) - disk.SPARE == source


def test_too_small_a_disk_is_refused_with_numbers(network, tmp_path, monkeypatch):
    training = TrainingConfig()
    free(monkeypatch, space_needed(network, training) - 1)
    with pytest.raises(RunError, match=r"need 0\.06 GiB more .* has 0\.06 GiB free.*keep_checkpoints"):
        check_space(tmp_path / "checkpoints", network, training)
    free(monkeypatch, space_needed(network, training))
    check_space(tmp_path / "checkpoints", network, training)


def test_what_a_resumed_run_has_already_is_not_asked_for_again(network, tmp_path, monkeypatch):
    training = TrainingConfig()
    (tmp_path / "step-1").mkdir()
    (tmp_path / "step-1" / "student.safetensors").write_bytes(b"x" * 1000)
    free(monkeypatch, space_needed(network, training) - 1000)
    check_space(tmp_path, network, training)


def test_a_run_that_does_not_fit_is_refused_before_its_first_step(make_run, monkeypatch):
    run = make_run()
    free(monkeypatch, 1000)
    with pytest.raises(RunError, match="GiB free"):
        train(run)
    assert not run.checkpoints()
    assert run.status()["state"] == "failed"
