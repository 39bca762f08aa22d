"""Call the student θ: its network, with what every forward of a step needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from core.method.teacher import batch_norms, untouched_statistics
from core.networks.prediction import Box, OnFeatures, Prediction
from core.pixels import Normalisation


@dataclass
class Student:
    """Hold θ, and forward it in the run's precision.

    Args:
        network: the module whose parameters are trained. It is called with normalised images (B, 3, H, W), and if they
            are given with `box` (HRDA's sub-crop) and `on_features` (see `core.networks.segmenter`).
        parallel: the same network wrapped for several processes (DistributedDataParallel); None for one process.
        compiled: whether torch.compile fuses its kernels at the first calls.
    """

    network: nn.Module
    normalisation: Normalisation
    autocast: Callable[[], AbstractContextManager] = nullcontext
    parallel: Any = None
    compiled: bool = False
    norms: list = field(init=False)

    def __post_init__(self) -> None:
        self.norms = batch_norms(self.network)
        called = self.network if self.parallel is None else self.parallel
        self._call: Callable[..., Any] = torch.compile(called) if self.compiled else called

    def __call__(
        self,
        image: Tensor,
        *,
        box: Box | None = None,
        on_features: OnFeatures | None = None,
        move_statistics: bool = True,
    ) -> Prediction:
        """Predict normalised images (B, 3, H, W).

        Args:
            box: HRDA's sub-crop.
            on_features: changes the encoder's features before the head.
            move_statistics: whether batch norms update their running statistics.
        """
        asked = {"box": box, "on_features": on_features}
        options = {name: value for name, value in asked.items() if value is not None}
        with untouched_statistics(self.norms, enabled=not move_statistics), self.autocast():
            found = self._call(image, **options)
        return found if isinstance(found, Prediction) else Prediction(found)

    def accumulating(self, *, last: bool) -> AbstractContextManager:
        """Enclose forward and backward of one loss, or of all losses of a part of the batch.

        Gradients are reduced over the processes with the last one only.
        """
        return nullcontext() if last or self.parallel is None else self.parallel.no_sync()


def chunk(prediction: Prediction, parts: int) -> list[Prediction]:
    """Split the prediction of several copies of a batch, which lie one after another."""
    logits = prediction.logits.chunk(parts)
    details: Sequence[Tensor | None] = [None] * parts
    if prediction.detail is not None:
        details = prediction.detail.chunk(parts)
    return [Prediction(z, detail, prediction.box) for z, detail in zip(logits, details, strict=True)]
