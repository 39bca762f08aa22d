"""Segmentation quality against labels: a confusion matrix and the scores computed from it.

L: true class, P: predicted class, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from core.evaluation.scores import iou_per_class, miou_over, scores_of
from core.events import Scores
from core.labels import IGNORE
from core.method.transfer import to_device

__all__ = ["ConfusionMatrix", "iou_per_class", "miou_over", "scores_of"]


class ConfusionMatrix:
    """Count (label, prediction) pairs. Pixels labelled IGNORE are not counted.

    The counts are kept on `device`; tensors there are added without waiting for it. Arrays work too.
    """

    def __init__(self, num_classes: int, device: torch.device | str = "cpu") -> None:
        self.num_classes = num_classes
        # Two more cells than C × C: one for ignored pixels, one for values that are no class.
        self._counts = torch.zeros(num_classes * num_classes + 2, dtype=torch.int64, device=device)

    def update(self, label: np.ndarray | Tensor, prediction: np.ndarray | Tensor) -> None:
        """Add images: integer class ids of the same shape, any number of dimensions, IGNORE in labels.

        Raises:
            ValueError: shapes differ.
        """
        if tuple(label.shape) != tuple(prediction.shape):
            raise ValueError(f"label {tuple(label.shape)} and prediction {tuple(prediction.shape)} differ in shape")
        label, prediction = self._flat(label), self._flat(prediction)
        C = self.num_classes
        is_class = (label >= 0) & (label < C) & (prediction >= 0) & (prediction < C)
        cell = torch.where(is_class, label * C + prediction, C * C + 1)
        cell = torch.where(label == IGNORE, C * C, cell)
        if cell.device.type == "cpu":
            self._counts += torch.bincount(cell, minlength=self._counts.numel())
        else:  # bincount would wait for the device
            self._counts.scatter_add_(0, cell, torch.ones_like(cell))

    @property
    def matrix(self) -> np.ndarray:
        """(C, C) int64, [label][prediction], in pixels. Waits for the device.

        Raises:
            ValueError: a label was neither a class nor IGNORE, or a prediction was no class.
        """
        counts = self._counts.cpu().numpy()
        if counts[-1]:
            raise ValueError(
                f"{counts[-1]} pixels hold values outside the {self.num_classes} classes; labels and model do not fit."
            )
        return counts[:-2].reshape(self.num_classes, self.num_classes)

    def scores(self, names: Sequence[str], counted: Sequence[str] | None = None) -> Scores:
        """Return the scores in percent, classes by name. Raises ValueError as `matrix` does."""
        return scores_of(self.matrix, names, counted)

    def _flat(self, ids: np.ndarray | Tensor) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(ids)) if isinstance(ids, np.ndarray) else ids
        # Sent as it is: 8 bytes a pixel on the device only.
        return to_device(tensor.detach(), self._counts.device).to(torch.int64).flatten()
