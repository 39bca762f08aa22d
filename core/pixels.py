"""Normalising images and undoing it (the only place, on arrays and tensors alike); spacing and shrinking images.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np

if TYPE_CHECKING:
    import torch

Array = TypeVar("Array", "np.ndarray", "torch.Tensor")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation per RGB channel, on the scale 0..1. A normalised 0 is the mean colour."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # ImageNet
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def apply(self, image: Array) -> Array:
        """Normalise (…, 3, H, W) values in 0..1."""
        return (image - self._like(image, self.mean)) / self._like(image, self.std)  # type: ignore[operator]

    def undo(self, image: Array) -> Array:
        """Return normalised (…, 3, H, W) values to 0..1, unclamped."""
        return image * self._like(image, self.std) + self._like(image, self.mean)  # type: ignore[operator]

    @staticmethod
    def _like(image: Array, values: tuple[float, float, float]) -> Array:
        if isinstance(image, np.ndarray):
            return np.asarray(values, dtype=image.dtype).reshape(3, 1, 1)
        if image.is_cuda:  # new_tensor copies from the host and waits for the device; filling does not
            like = image.new_empty((3, 1, 1))
            for channel, value in zip(like, values, strict=True):
                channel.fill_(value)
            return like
        return image.new_tensor(values).view(3, 1, 1)


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Convert values in 0..1 to uint8 0..255, rounded and clamped."""
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)


def evenly_spaced(items: Sequence[Item], number: int) -> list[Item]:
    """Choose at most `number` items at even distances, the first and the last among them."""
    return [items[i] for i in np.linspace(0, len(items) - 1, min(number, len(items))).astype(int)]


def shrunk(image: np.ndarray, longest_side: int, interpolation: int = cv2.INTER_AREA) -> np.ndarray:
    """Shrink an image (H, W, …) so that its longest side has at most so many pixels; a smaller one is returned as it is."""
    height, width = image.shape[:2]
    scale = longest_side / max(height, width)
    if scale >= 1:
        return image
    return cv2.resize(image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=interpolation)
