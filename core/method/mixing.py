"""Paste half of a source image's classes onto a target image (ClassMix, section 4 of the guide's method chapter)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from core.labels import IGNORE

NUM_VALUES = 256  # of a uint8 label


def draw_classes(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Choose ⌈n/2⌉ of the n classes in each image, without replacement.

    Each image's own classes count, and IGNORE is never pasted. `draw_classes_of_batch` does it as the released code does.

    Args:
        labels: uint8 (B, H, W), with IGNORE.

    Returns:
        bool (B, 256), True for the chosen classes.
    """
    chosen = np.zeros((len(labels), NUM_VALUES), bool)
    for image, label in enumerate(labels):
        present = np.flatnonzero(np.bincount(label.ravel(), minlength=NUM_VALUES)[:IGNORE])
        chosen[image, rng.choice(present, size=(len(present) + 1) // 2, replace=False)] = True
    return chosen


def draw_classes_of_batch(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Choose ⌈n/2⌉ of the n values in the whole batch for each image, IGNORE among them, as the released code does.

    Args and returns: as `draw_classes`.
    """
    present = np.unique(labels)
    chosen = np.zeros((len(labels), NUM_VALUES), bool)
    for row in chosen:
        row[rng.choice(present, size=(len(present) + 1) // 2, replace=False)] = True
    return chosen


def paste_mask(labels: Tensor, chosen: Tensor) -> Tensor:
    """Return True where the source is pasted, bool (B, H, W), from labels (B, H, W) and chosen classes, bool (B, 256)."""
    B, H, W = labels.shape
    return chosen.gather(1, labels.reshape(B, -1).long()).view(B, H, W)


def mix(mask: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Take the source where the mask (B, H, W) is True, else the target. Works on images (B, 3, H, W) and maps (B, H, W)."""
    return torch.where(mask if source.dim() == mask.dim() else mask.unsqueeze(1), source, target)
