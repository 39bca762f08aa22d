"""Two processes on the CPU against one, and the command line under torchrun."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from core.configuration import settings
from core.configuration.choices import Architecture
from core.configuration.training import TrainingConfig
from core.errors import RunError
from core.method.draws import Share
from core.networks.families import construct, described
from core.pixels import Normalisation
from core.training import distributed
from core.training.distributed import Agreement, Group, check_shares, has_unused_parameters, synchronised
from tests.core.tiny import tiny_config
from tests.core.training import train_shares
from tests.core.training.train_shares import CHANGED_AT, KINDS

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
    def make(name, kind="plain", **changes):
        fixed = {
            "training__log_interval": 1, "training__batch_size": 4, "training__evaluation_interval": 3,
            "training__pseudo_label_threshold": 0.3, "training__threads": 1, "network__encoder": KINDS[kind],
        }  # fmt: skip
        return make_run(name, **{**fixed, **changes})

    return make


def test_two_processes_give_the_losses_of_one(run):
    """One launch for all: without and with batch norm, with HRDA, with a change in mid-run, and a stop that is resumed."""
    crop = {"training__crop_size": 64}  # HRDA halves it
    pairs = {
        "plain": [run(f"plain {who}") for who in ("alone", "together")],
        "norm": [run(f"norm {who}", "norm", training__teacher_statistics="averaged") for who in ("alone", "together")],
        "hrda": [run(f"hrda {who}", "hrda", **crop) for who in ("alone", "together")],
        "changed": [run(f"changed {who}") for who in ("alone", "together")],
        "stopped": [run(f"stopped {who}") for who in ("alone", "together")],
    }
    words = {name: str(together.path) for name, (_, together) in pairs.items()}
    words["changed"] += ":changed"
    words["stopped"] += ":5"
    start(*TORCHRUN, SCRIPT, *words.values())
    stopped = pairs["stopped"][1]
    assert stopped.status()["state"] == "stopped"
    assert stopped.checkpoints()[-1].step == stopped.status()["step"] < 10
    with train_shares.Seams():
        for name, (alone, _) in pairs.items():
            train_shares.train(alone.path, changed=name == "changed")
        train_shares.train(stopped.path)  # one process goes on
    for name, (alone, together) in pairs.items():
        expected, found = losses(alone), losses(together)
        assert len(expected) == len(found) == 10, name
        assert expected[-1][3] > 0  # the twins are trained on
        tolerance = {"rel": 1e-6, "abs": 1e-7} if name == "plain" else {"rel": 2e-4, "abs": 1e-5}
        for own, other in zip(expected, found, strict=True):
            assert own == pytest.approx(other, **tolerance), name
        scores = [run.status()["scores"]["teacher"] for run in (alone, together)]
        assert scores[0]["miou"] == pytest.approx(scores[1]["miou"], abs=0.5), name
        assert sum(map(sum, scores[1]["confusion"])) == sum(map(sum, scores[0]["confusion"]))
    changed, unchanged = losses(pairs["changed"][1]), losses(pairs["plain"][1])
    assert changed[:CHANGED_AT] == unchanged[:CHANGED_AT]
    assert changed[-1] != unchanged[-1]


class Peers(Group):
    """Two processes as one of them sees them: the other is slower, and wants nothing."""

    share = Share(0, 2)

    def __init__(self, pace=0.0):
        self.pace, self.calls = pace, 0

    def most(self, *values):
        self.calls += 1
        return [*values[:-1], max(values[-1], self.pace)]


def test_processes_agree_every_half_second_and_not_at_every_step(monkeypatch):
    clock = iter(np.arange(0, 100, 0.01))  # each look at it takes 10 ms, in which ten steps are made
    monkeypatch.setattr(distributed.time, "monotonic", lambda: float(next(clock)))
    group = Peers()
    agreement = Agreement(group)
    for step in range(10_000):
        agreement.ask(step, False, False)
    assert 10 <= group.calls <= 40
    slow = Peers(pace=10.0)  # the slowest process decides: for it every step is late
    agreement = Agreement(slow)
    assert [agreement.ask(step, True)[0] for step in range(5)] == [True] * 5
    assert slow.calls == 5


def test_a_wish_between_two_agreements_is_kept_for_the_next():
    agreement = Agreement(Peers(pace=0.1))  # an agreement every five steps
    found = [agreement.ask(step, step > 0)[0] for step in range(6)]
    assert found == [False, False, False, False, False, True]


def test_a_single_process_is_asked_at_every_step():
    agreement = Agreement(distributed.SOLO)
    assert [agreement.ask(step, step % 2 == 1) for step in range(4)] == [[False], [True], [False], [True]]


@pytest.mark.parametrize(("encoder", "unused"), [("tu-test_resnet", False), ("efficientnet-b0", True)])
def test_parameters_that_get_no_gradient_are_found_without_a_trace(encoder, unused):
    network = construct(described(Architecture.UNET, encoder), 3, Normalisation()).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    assert has_unused_parameters(network) is unused
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())


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
