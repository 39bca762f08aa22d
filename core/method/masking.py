"""Masks on the device: enlarge block masks to pixels, and hide what the head sees of the encoder's features.

A step sends one value per block, a few KB, instead of one per pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from core.method.transfer import to_device
from core.networks.prediction import Box, OnFeatures


def pixel_masks(blocks: Sequence[np.ndarray], size: Sequence[int], device: torch.device) -> list[Tensor]:
    """Send block masks to the device and enlarge them there.

    Args:
        blocks: bool (B, 1, h, w) each, one value per block, all of one shape.
        size: (H, W) in pixels.

    Returns:
        bool (B, 1, H, W) each, equal to what `core.method.masks.enlarge` gives on the host.
    """
    blocks_KB1hw = to_device(np.stack(blocks), device)  # one copy for all views
    rows, columns = (
        _block_of_pixel(side, count, device) for side, count in zip(size, blocks_KB1hw.shape[-2:], strict=True)
    )
    return list(blocks_KB1hw.index_select(3, rows).index_select(4, columns))


def _block_of_pixel(size: int, blocks: int, device: torch.device) -> Tensor:
    """Return the block of each pixel along a side, made on the device with the arithmetic of `masks.block_of_pixel`."""
    scale = float(np.float32(blocks) / np.float32(size))
    position = torch.arange(size, dtype=torch.float32, device=device)
    return (position * scale).long().clamp_(max=blocks - 1)


def mask_features(keeps: Sequence[Tensor], size: Sequence[int]) -> OnFeatures:
    """Hide encoder features instead of pixels: the encoder sees the whole image once, and the head one copy per mask.

    Args:
        keeps: bool (B, 1, H, W) each. They are reduced to the size of each feature map by the nearest pixel.
        size: (H, W).
    """

    def on_features(features: list[Tensor], where: Box | None) -> list[Tensor]:
        y1, y2, x1, x2 = where or (0, size[0], 0, size[1])
        cut = [keep[:, :, y1:y2, x1:x2].to(features[-1].dtype) for keep in keeps]

        def masked(feature: Tensor) -> Tensor:
            return torch.cat([feature * F.interpolate(keep, size=feature.shape[-2:]) for keep in cut])

        image, *maps = features
        return [torch.cat([image] * len(keeps)), *map(masked, maps)]

    return on_features
