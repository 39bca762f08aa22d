"""Gradient checkpointing changes the memory and nothing else."""

import copy

import pytest
import torch

from core.configuration.choices import Architecture
from core.method.teacher import batch_norms, untouched_statistics
from core.networks.families import construct, described
from core.networks.recompute import Recomputing, recompute_blocks
from core.pixels import Normalisation

NETWORKS = {
    "tu-test_resnet": 4,
    "resnet18": 8,
    "efficientnet-b0": 16,
    "mobilenet_v2": 17,
    "mit_b0": 8,
    "tu-pvt_v2_b0": 8,
    "tu-test_convnext": 9,
    "tu-swin_tiny_patch4_window7_224": 12,
}


def network(encoder, architecture=Architecture.UNET):
    torch.manual_seed(0)
    return construct(described(architecture, encoder), 3, Normalisation()).train()


def trained(segmenter, seed=7):
    """Losses, gradients and buffers after two passes, the second one with a new random state."""
    losses = []
    for step in range(2):
        torch.manual_seed(seed + step)
        image = torch.randn(2, 3, 64, 96)
        loss = segmenter(image).square().mean()
        loss.backward()
        losses.append(loss.item())
    gradients = {name: p.grad.clone() for name, p in segmenter.named_parameters() if p.grad is not None}
    return losses, gradients, {name: b.clone() for name, b in segmenter.named_buffers()}


@pytest.mark.parametrize("encoder", NETWORKS)
def test_losses_gradients_and_running_statistics_are_equal_bit_for_bit(encoder):
    plain = network(encoder)
    twice = copy.deepcopy(plain)
    assert recompute_blocks(twice.encoder) == NETWORKS[encoder]
    assert list(twice.state_dict()) == list(plain.state_dict())
    first, second = trained(plain), trained(twice)
    assert first[0] == second[0]
    for expected, found in zip(first[1:], second[1:], strict=True):
        assert expected.keys() == found.keys()
        assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_what_a_masked_forward_leaves_alone_stays_alone():
    """Its backward comes after the running statistics are tracked again."""
    results = []
    for recomputed in (False, True):
        segmenter = network("tu-test_resnet")
        if recomputed:
            recompute_blocks(segmenter.encoder)
        torch.manual_seed(3)
        with untouched_statistics(batch_norms(segmenter), enabled=True):
            loss = segmenter(torch.randn(2, 3, 64, 64)).square().mean()
        loss.backward()
        results.append([p.grad for p in segmenter.parameters()] + list(segmenter.buffers()))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_plain_vision_transformers_are_computed_twice_too():
    plain = network("tu-test_vit", Architecture.DPT)
    twice = copy.deepcopy(plain)
    assert recompute_blocks(twice.encoder) > 1
    assert trained(plain)[0] == trained(twice)[0]


def kept_bytes(segmenter):
    """Bytes that the graph of a forward keeps for its backward, the parameters left out."""
    own, seen = {p.data_ptr() for p in segmenter.parameters()}, {}

    def keep(tensor):
        if tensor.data_ptr() not in own:
            seen[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        segmenter(torch.randn(2, 3, 128, 128))
    return sum(seen.values())


def test_a_forward_keeps_much_less():
    plain = network("tu-pvt_v2_b0", Architecture.SEGFORMER)
    twice = copy.deepcopy(plain)
    recompute_blocks(twice.encoder)
    assert kept_bytes(twice) < kept_bytes(plain) / 2


def test_without_gradients_and_in_evaluation_mode_nothing_is_computed_twice(monkeypatch):
    segmenter = network("tu-test_resnet")
    recompute_blocks(segmenter.encoder)
    calls = []
    monkeypatch.setattr("core.networks.recompute.checkpoint", lambda *_, **__: calls.append(1))
    with torch.no_grad():
        segmenter(torch.randn(2, 3, 64, 64))
    segmenter.eval()(torch.randn(2, 3, 64, 64))
    assert not calls


def test_a_copy_is_a_network_of_its_own():
    first = network("tu-test_resnet")
    recompute_blocks(first.encoder)
    second = copy.deepcopy(first)
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.zero_()
    blocks = [m for m in second.modules() if isinstance(m, Recomputing)]
    assert blocks
    assert second(torch.randn(2, 3, 64, 64)).abs().max() == 0
    assert first(torch.randn(2, 3, 64, 64)).abs().max() > 0
