"""Cut crops from images: scale, place and mirror by four numbers, so that a crop is a pure function of them.

A box of crop / scale pixels is cut from the image and resized to the crop, the image by area when shrinking and linearly
when enlarging, the label by nearest pixel centre; half of the crops are mirrored. An image smaller than the crop is
enlarged until it covers it. Only where the shapes differ more than twofold (a strip in a square crop) it is enlarged to
twice the contained size, and the rest of the crop is padded with reflected pixels and the label IGNORE.

Importable without torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core.configuration.sections import DataConfig
from core.labels import IGNORE

MAX_ASPECT_CUT = 2.0  # how far beyond containment an image is enlarged before padding takes over


@dataclass(frozen=True)
class Crop:
    """Hold a crop of one image and of its label."""

    image: np.ndarray  # (H, W, 3) uint8
    label: np.ndarray  # (H, W) uint8; all 0 where there is no label, IGNORE on padding


@dataclass(frozen=True)
class _Box:
    """Say where a crop comes from, and how large it is before padding: pixels, (y, x)."""

    window: tuple[slice, slice]
    size: tuple[int, int]
    shrinks: bool
    mirrored: bool


def cut(image: np.ndarray, label: np.ndarray, crop_hw: tuple[int, int], data: DataConfig, draws: np.ndarray) -> Crop:
    """Cut one crop by four numbers in [0, 1): scale, top, left, mirror."""
    box = _box(label.shape, crop_hw, data, draws)
    # Area averaging avoids the moiré of thin structures.
    how = cv2.INTER_AREA if box.shrinks else cv2.INTER_LINEAR
    pixels = cv2.resize(image[box.window], box.size[::-1], interpolation=how)
    if box.mirrored:
        pixels = cv2.flip(pixels, 1)
    below, right = _missing(box.size, crop_hw)
    if below or right:
        pixels = cv2.copyMakeBorder(pixels, 0, below, 0, right, cv2.BORDER_REFLECT)
    return Crop(pixels, _cut_label(label, box, crop_hw))


def cut_label(label: np.ndarray, crop_hw: tuple[int, int], data: DataConfig, draws: np.ndarray) -> np.ndarray:
    """Cut the label of a crop alone, as `cut` does with the same draws: uint8 (H, W)."""
    return _cut_label(label, _box(label.shape, crop_hw, data, draws), crop_hw)


def enlarge_to_cover(hw: tuple[int, ...], crop_hw: tuple[int, int], scale: float) -> float:
    """Return the scale that an image of this size gets when `scale` is drawn: at least what covers the crop."""
    fits = [crop / side for side, crop in zip(hw, crop_hw, strict=True)]
    return max(scale, min(max(fits), MAX_ASPECT_CUT * min(fits)))


def _box(hw: tuple[int, ...], crop_hw: tuple[int, int], data: DataConfig, draws: np.ndarray) -> _Box:
    scale = enlarge_to_cover(hw, crop_hw, data.scale_min + draws[0] * (data.scale_max - data.scale_min))
    (top, height, out_height), (left, width, out_width) = (
        _span(side, crop, scale, draw) for side, crop, draw in zip(hw, crop_hw, draws[1:3], strict=True)
    )
    window = np.s_[top : top + height, left : left + width]
    return _Box(window, (out_height, out_width), scale < 1, bool(data.flip and draws[3] < 0.5))


def _span(side: int, crop: int, scale: float, draw: float) -> tuple[int, int, int]:
    """Return where the box starts and how long it is along one side of the image, and its length in the crop."""
    box = min(side, max(1, round(crop / scale)))
    out = crop if box < side else min(crop, max(1, round(side * scale)))  # shorter than the crop: padding follows
    return int(draw * (side - box + 1)), box, out


def _cut_label(label: np.ndarray, box: _Box, crop_hw: tuple[int, int]) -> np.ndarray:
    # INTER_NEAREST (not EXACT) would shift labels by half a pixel.
    label = cv2.resize(label[box.window], box.size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    if box.mirrored:
        label = cv2.flip(label, 1)
    below, right = _missing(box.size, crop_hw)
    if below or right:
        label = cv2.copyMakeBorder(label, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(IGNORE,))
    return label


def _missing(size: tuple[int, int], crop_hw: tuple[int, int]) -> tuple[int, int]:
    """Return how many rows below and columns on the right are missing to fill the crop."""
    return crop_hw[0] - size[0], crop_hw[1] - size[1]
