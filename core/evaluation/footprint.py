"""Estimate how much memory predictions need, so that only as many images go through a network at once as fit."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psutil
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from core.evaluation.predictor import Predictor

SIDES = (
    128,
    256,
)  # pixels of the two images that are tried: their difference leaves out what does not grow with the image
MOST_BYTES = 2**31  # of activations at once: more does not make a measurement faster
SHARE = 0.5  # of the free memory that a measurement may take beside the training


class PeakBytes(TorchDispatchMode):
    """Count the bytes of the tensors made within it, and keep the most there were at once (`peak`)."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._held = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        return made

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self._held += size
            self.peak = max(self.peak, self._held)
            weakref.finalize(storage, self._remove, key, size)

    def _remove(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._held -= size


def bytes_per_pixel(predictor: Predictor) -> float:
    """Estimate the bytes of activations that a prediction takes at once, per pixel of the images. Changes nothing."""
    small, large = (_peak(predictor, side) for side in SIDES)
    return max(1.0, (large - small) / (SIDES[1] ** 2 - SIDES[0] ** 2))


def _peak(predictor: Predictor, side: int) -> int:
    with PeakBytes() as tensors:
        predictor.logits_of(torch.zeros(1, 3, side, side, device=predictor.device))
    return tensors.peak


def free_bytes(device: torch.device | str) -> int:
    """Return the free memory of the device; on a CUDA card, with what torch keeps for reuse."""
    device = torch.device(device)
    if device.type != "cuda":
        return psutil.virtual_memory().available
    reusable = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + reusable


def most_pixels(predictor: Predictor, free: Callable[[torch.device], int] = free_bytes) -> int:
    """Return how many pixels of images may go through the network at once.

    The same for the same network wherever memory is not short, so that a measurement does not depend on the machine.
    """
    return max(1, int(min(MOST_BYTES, SHARE * free(predictor.device)) / bytes_per_pixel(predictor)))
