"""Two processes on the CPU against one, and the command line under torchrun."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from core.configuration import settings
from core.configuration.choices import Architecture
from core.configuration.training import TrainingConfig
from core.errors import RunError
from core.method.draws import Share
from core.networks.families import construct, described
from core.pixels import Normalisation
from core.training.distributed import check_shares, synchronised
from tests.core.tiny import tiny_config

REPOSITORY = Path(__file__).resolve().parents[3]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SCRIPT = str(Path(__file__).with_name("train_shares.py"))
LOSSES = ("total", "source", "mix", "twins", "consistency")


def start(*command: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def losses(run) -> list[list[float]]:
    return [[float(row[name] or 0) for name in LOSSES] for row in run.metrics() if row["total"]]


@pytest.fixture
def run(make_run):
    def make(name):
        return make_run(
            name, training__log_interval=1, training__batch_size=4, training__evaluation_interval=3,
            training__pseudo_label_threshold=0.3,
        )  # fmt: skip

    return make


def test_two_processes_give_the_losses_of_one(run):
    alone, together = run("alone"), run("together")
    start(sys.executable, SCRIPT, str(alone.path))
    start(*TORCHRUN, SCRIPT, str(together.path))
    expected, found = losses(alone), losses(together)
    assert len(expected) == len(found) == 10
    assert expected[-1][3] > 0  # the twins are trained on
    for own, other in zip(expected, found, strict=True):
        assert own == pytest.approx(other, rel=1e-6, abs=1e-7)
    scores = [run.status()["scores"] for run in (alone, together)]
    assert scores[0]["teacher"]["miou"] == pytest.approx(scores[1]["teacher"]["miou"], abs=0.2)
    assert sum(map(sum, scores[1]["teacher"]["confusion"])) == sum(map(sum, scores[0]["teacher"]["confusion"]))


def test_a_stop_in_one_process_stops_all_and_one_process_can_go_on(run):
    alone, begun = run("alone"), run("begun")
    start(sys.executable, SCRIPT, str(alone.path))
    start(*TORCHRUN, SCRIPT, str(begun.path), "5")
    assert begun.status()["state"] == "stopped"
    assert begun.checkpoints()[-1].step == begun.status()["step"] < 10
    start(sys.executable, SCRIPT, str(begun.path))
    assert begun.status()["state"] == "finished"
    for own, other in zip(losses(alone), losses(begun), strict=True):
        assert own == pytest.approx(other, rel=1e-5, abs=1e-6)


def test_the_command_line_under_torchrun(tiny_data, tmp_path):
    config = tmp_path / "run.toml"
    settings.save(tiny_config(tiny_data, training__batch_size=4), config)  # batch norm needs two images in each
    done = start(*TORCHRUN, "-m", "core", "adapt", str(config), "--out", str(tmp_path / "out"), "--json")
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(results) == 1  # one process speaks
    assert results[0]["steps"] == 10
    assert results[0]["teacher"]["miou"] > 0


@pytest.mark.parametrize("name", ["batch_size", "target_batch_size"])
def test_a_batch_that_cannot_be_divided_is_refused(name):
    training = TrainingConfig(**{"batch_size": 4, name: 3})
    with pytest.raises(RunError, match=f"training.{name} 3 .* 2 processes"):
        check_shares(training, Share(0, 2))


@pytest.mark.parametrize(
    "encoder", ["tu-test_efficientnet", "tu-test_resnet"]
)  # activations inside batch norms, and not
def test_synchronised_batch_norms_leave_the_network_as_it_is(encoder):
    network = construct(described(Architecture.UNET, encoder), 3, Normalisation()).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = network(image)
        found = synchronised(network)(image)
    assert torch.equal(found, expected)
    norms = [m for m in network.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    assert norms
    assert all(isinstance(norm, torch.nn.SyncBatchNorm) for norm in norms)
