"""Break off a measurement within one layer of the network, so that a stop is heard at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn

Stopping = Callable[[], bool]


class InterruptedByStop(Exception):  # noqa: N818 - not an error
    """Raised where a stop was asked for while a network was at work."""


@contextmanager
def interruptible(networks: list[nn.Module], stopping: Stopping) -> Iterator[None]:
    """Let the networks' forwards raise InterruptedByStop as soon as `stopping` is true. Results do not change."""

    def look(*_: object) -> None:
        if stopping():
            raise InterruptedByStop

    layers = [
        module for network in networks for module in network.modules() if not any(True for _ in module.children())
    ]
    hooks = [layer.register_forward_pre_hook(look) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
