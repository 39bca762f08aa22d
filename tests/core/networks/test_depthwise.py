"""The head's depthwise convolution: torch's own results and gradients, by another way."""

import pytest
import torch
import torch.nn.functional as F

from core.networks import depthwise
from core.networks.depthwise import DilatedDepthwise

SHAPES = [(2, 5, 7, 9, 1), (1, 4, 5, 6, 6), (2, 3, 4, 2, 18), (2, 8, 40, 24, 12)]


def by_torch(conv, values):
    d = conv.dilation[0]
    return F.conv2d(values, conv.weight, padding=d, dilation=d, groups=conv.groups)


@pytest.mark.parametrize(("B", "C", "H", "W", "dilation"), SHAPES)
@pytest.mark.parametrize("chunk", [1, 2**20])
def test_results_and_gradients_are_those_of_torch(monkeypatch, B, C, H, W, dilation, chunk):
    monkeypatch.setattr(depthwise, "_CHUNK", chunk)
    torch.manual_seed(0)
    conv = DilatedDepthwise(C, dilation).double()
    values = torch.randn(B, C, H, W, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn_like(values)
    ours, theirs = conv(values), by_torch(conv, values)
    assert torch.equal(ours, theirs)
    for a, b in zip(
        torch.autograd.grad(ours, (values, conv.weight), gradient),
        torch.autograd.grad(theirs, (values, conv.weight), gradient),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_under_autocast_the_sums_are_still_exact():
    torch.manual_seed(0)
    conv = DilatedDepthwise(4, 2)
    values, gradient = torch.randn(2, 4, 32, 32, requires_grad=True), torch.randn(2, 4, 32, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = conv(values)
    assert result.dtype == torch.bfloat16
    (found,) = torch.autograd.grad(result, conv.weight, gradient.bfloat16())
    rounded = by_torch(conv, values.bfloat16().float())
    (expected,) = torch.autograd.grad(rounded, conv.weight, gradient.bfloat16().float())
    torch.testing.assert_close(found, expected.bfloat16().float(), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("trained", ["values", "weight"])
def test_either_gradient_alone_is_torchs_own(trained):
    conv, values = DilatedDepthwise(3, 2), torch.randn(1, 3, 8, 8)
    conv.requires_grad_(trained == "weight")
    values.requires_grad_(trained == "values")
    conv(values).sum().backward()
    assert (values.grad is not None) == (trained == "values")
    assert (conv.weight.grad is not None) == (trained == "weight")
