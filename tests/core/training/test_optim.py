import numpy as np
import pytest
import torch
from torch import nn

from core.configuration.training import TrainingConfig
from core.networks.foreign import released_name
from core.training import optim
from core.training.optim import StepGuard, build_optimizer, learning_rate_factor, set_learning_rate


def test_golden_learning_rate(golden):
    for step, value in zip(golden["lr_iters"], golden["lr_values"], strict=True):
        assert 6e-5 * learning_rate_factor(int(step), 40000, 1500) == pytest.approx(value, rel=1e-6)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential()
        self.encoder.add_module("conv", nn.Conv2d(3, 4, 1))
        self.encoder.add_module("norm1", nn.BatchNorm2d(4))
        self.head = nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))

    def forward(self, x):
        return self.head(self.encoder(x))


@pytest.fixture
def setup():
    torch.manual_seed(0)
    network = Network()
    optimizer = build_optimizer(network, TrainingConfig(steps=90, source_steps=10, learning_rate=1e-3))
    return network, optimizer


def test_groups_follow_the_released_code(setup):
    network, optimizer = setup
    settings = {id(p): (g["is_head"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    assert settings[id(network.encoder.conv.weight)] == (False, 0.01)
    assert settings[id(network.encoder.conv.bias)] == (False, 0.01)
    assert settings[id(network.encoder.norm1.weight)] == (False, 0.0)
    assert settings[id(network.head[0].weight)] == (True, 0.01)
    assert len(settings) == len(list(network.parameters()))


def test_the_head_learns_ten_times_as_fast(setup):
    _, optimizer = setup
    training = TrainingConfig(steps=90, source_steps=10, learning_rate=1e-3)
    rate = set_learning_rate(optimizer, training, 50)
    assert rate == pytest.approx(5e-4)
    assert {g["lr"] / rate for g in optimizer.param_groups if g["is_head"]} == {10.0}


def test_rate_falls_to_zero_and_a_warmup_of_zero_starts_at_full():
    assert learning_rate_factor(0, 10, 0) == 1
    assert learning_rate_factor(9, 10, 0) == pytest.approx(0.1)


@pytest.mark.parametrize("guarding", [("cpu",), ()])  # by the optimiser's kernel, or by asking the host
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_non_finite_step_moves_nothing(setup, poison, guarding, monkeypatch):
    monkeypatch.setattr(optim, "GUARDING", guarding)
    network, optimizer = setup
    guard = StepGuard(optimizer, [network])
    x = torch.randn(2, 3, 4, 4)

    def step(x):
        guard.before()
        loss = network(x).square().mean()
        loss.backward()
        return guard.apply({"total": loss.detach()}).item()

    assert step(x) == 0
    before = {name: value.clone() for name, value in network.state_dict().items()}
    moments = {p: {k: v.clone() for k, v in s.items()} for p, s in optimizer.state.items()}
    assert step(x * poison) == 1
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    for parameter, state in moments.items():
        for key, value in state.items():
            assert torch.equal(optimizer.state[parameter][key], value), key
    assert step(x) == 0
    assert not torch.equal(network.encoder.conv.weight, before["encoder.conv.weight"])


def test_undo_puts_buffers_back_and_drops_gradients(setup):
    network, optimizer = setup
    guard = StepGuard(optimizer, [network])
    guard.before()
    before = network.encoder.norm1.running_mean.clone()
    network(torch.randn(2, 3, 4, 4) + 9).sum().backward()
    assert not np.allclose(network.encoder.norm1.running_mean, before)
    guard.undo()
    assert torch.equal(network.encoder.norm1.running_mean, before)
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize("kind", ["plain", "hrda"])
def test_golden_rates_and_decays_by_parameter(golden, kind):
    """The released code's 'paramwise' rules, over every parameter of MiT + DAFormer, plain and with HRDA."""
    released = {
        released_name(name.removeprefix("model.")): (rate, decay)
        for name, rate, decay in zip(*(golden[f"opt_{kind}_{part}"] for part in ("names", "lr", "wd")), strict=True)
        if name.startswith("model.")
    }
    assert len(released) > 100
    network = nn.Module()
    for name in released:
        *path, last = name.split(".")
        module = network
        for step in path:
            if not hasattr(module, step):
                module.add_module(step, nn.Module())
            module = getattr(module, step)
        module.register_parameter(last, nn.Parameter(torch.zeros(1)))
    optimizer = build_optimizer(network, TrainingConfig())
    set_learning_rate(optimizer, TrainingConfig(warmup_steps=0), 0)
    own = {id(p): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in network.named_parameters():
        assert own[id(parameter)] == pytest.approx(released[name]), name
