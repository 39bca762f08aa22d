"""Compute L_fd, DAFormer's feature distance: it keeps the encoder near the pretrained one on source objects."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.labels import IGNORE

MIN_SHARE = 0.75  # of a cell's pixels that its majority class must hold


class FeatureAnchor:
    """Keep the frozen pretrained encoder, and measure the distance to it over some classes.

    Args:
        encoder: returns the features of normalised images, finest first. It is copied.
        classes: ids of the chosen classes.
    """

    def __init__(self, encoder: nn.Module, classes: Sequence[int]) -> None:
        self._encoder = copy.deepcopy(encoder).eval().requires_grad_(requires_grad=False)
        self._classes = tuple(classes)

    def distance(self, features: Sequence[Tensor], label: Tensor) -> Tensor:
        """Return the mean distance of the student's last features to the anchor's.

        Args:
            features: the student's, of source images; the first entry is the normalised image itself.
            label: uint8 (B, H, W) of the whole image.
        """
        with torch.no_grad():
            anchor = self._encoder(features[0])[-1]
        majority = majority_class(label, features[-1].shape[-2:], self._classes)
        return feature_distance(features[-1].float(), anchor.float(), majority != IGNORE)


def majority_class(label: Tensor, size: Sequence[int], classes: Sequence[int]) -> Tensor:
    """Return the class that holds at least 75 % of a cell's pixels, ignored ones in the denominator; else IGNORE.

    Args:
        label: uint8 (B, H, W).
        size: (h, w) cells of H/h × W/w pixels each.
        classes: ids of the classes that count.

    Returns:
        uint8 (B, h, w).
    """
    B = len(label)
    majority = torch.full((B, *size), IGNORE, dtype=torch.uint8, device=label.device)
    for c in classes:  # one class at a time: a one-hot copy of the labels would be the step's largest tensor
        share = F.adaptive_avg_pool2d((label == c).float(), (size[0], size[1]))
        majority = torch.where(share >= MIN_SHARE, c, majority).to(torch.uint8)
    return majority


def feature_distance(first: Tensor, second: Tensor, mask: Tensor) -> Tensor:
    """Return the L2 distance over channels, averaged over the masked cells of the batch. 0 where no cell is masked.

    Args:
        first, second: (B, D, h, w).
        mask: bool (B, h, w).
    """
    distance = torch.linalg.vector_norm(first - second, dim=1)
    return torch.where(mask, distance, 0).sum() / mask.sum().clamp(min=1)
