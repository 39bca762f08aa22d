"""Gradient checkpointing: compute an encoder's activations again in the backward pass instead of keeping them.

Each repeated block of the encoder keeps its input alone. Losses and gradients stay the same: the second pass sees the same
random state and the same precision, and moves no running statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

CONTAINERS = (nn.ModuleList, nn.Sequential)
LEAST_LAYERS = 2  # with parameters, from which a module is worth a second pass


class Recomputing(nn.Module):
    """Mixed into the class of a block: forward it through a checkpoint wherever gradients are needed."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        forward = super().forward
        if not (self.training and torch.is_grad_enabled()):
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, context_fn=self._contexts, **kwargs)

    def _contexts(self) -> tuple[AbstractContextManager, AbstractContextManager]:
        """Return the contexts of the first and of the second pass."""
        norms = [module for module in self.modules() if isinstance(module, _BatchNorm)]
        return nullcontext(), _as_before(norms, [norm.track_running_stats for norm in norms])


@contextmanager
def _as_before(norms: list[_BatchNorm], tracked: list[bool]) -> Iterator[None]:
    """Track running statistics as in the first pass, but in copies that are dropped afterwards.

    A batch norm that does not track saves other tensors for its backward, which the checkpoint would refuse.
    """
    now = [norm.track_running_stats for norm in norms]
    buffers = [dict(norm._buffers) for norm in norms]
    for norm, tracks in zip(norms, tracked, strict=True):
        norm.track_running_stats = tracks
        norm._buffers.update({name: None if b is None else b.clone() for name, b in norm._buffers.items()})
    try:
        yield
    finally:
        for norm, tracks, own in zip(norms, now, buffers, strict=True):
            norm.track_running_stats = tracks
            norm._buffers.update(own)


def recompute_blocks(encoder: nn.Module) -> int:
    """Let every repeated block of an encoder be computed twice in training, in place. Return how many blocks there are.

    Names, parameters, copies and results of the modules stay the same.
    """
    blocks = list(_blocks(encoder))
    for block in blocks:
        kind = type(block)
        block.__class__ = type(kind.__name__, (Recomputing, kind), {})
    return len(blocks)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the outermost modules in lists and sequences that hold several layers each."""
    for child in module.children():
        is_block = (
            isinstance(module, CONTAINERS) and not isinstance(child, CONTAINERS) and _num_layers(child) >= LEAST_LAYERS
        )
        if is_block:
            yield child
        else:
            yield from _blocks(child)


def _num_layers(module: nn.Module) -> int:
    return sum(1 for m in module.modules() if any(True for _ in m.parameters(recurse=False)))
