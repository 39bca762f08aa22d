"""A simulated CUDA card: torch's FakeTensorMode knows shapes, types and devices, and computes nothing."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from core.method import transfer


@contextmanager
def fake_card() -> Iterator[list[Tensor]]:
    """Simulate a card inside. Yields the tensors that were sent there through page-locked memory, as they come."""
    sent: list[Tensor] = []

    def pinned(tensor: Tensor) -> Tensor:  # the real one asks the driver
        sent.append(tensor)
        return tensor

    with ExitStack() as stack:
        stack.enter_context(patch.object(transfer, "_pinned", pinned))
        stack.enter_context(patch.object(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False))
        stack.enter_context(patch.object(torch.cuda, "is_bf16_supported", lambda **_: True))
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        yield sent


def move_there(module: nn.Module) -> nn.Module:
    """Replace a real module's tensors by simulated ones on the card, in place."""
    for part in module.modules():
        for name, tensor in part._parameters.items():
            if tensor is not None:
                part._parameters[name] = nn.Parameter(_like(tensor), requires_grad=tensor.requires_grad)
        for name, tensor in part._buffers.items():
            if tensor is not None:
                part._buffers[name] = _like(tensor)
    return module


def _like(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cuda")


@contextmanager
def without_backward(network: nn.Module) -> Iterator[None]:
    """Replace `Tensor.backward`, which asks the driver: it gives each parameter a gradient of zeros."""

    def backward(*_: object, **__: object) -> None:
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.zeros_like(parameter)

    with patch.object(Tensor, "backward", backward):
        yield
