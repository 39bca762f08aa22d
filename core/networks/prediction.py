"""Hold what a network predicts, and the sub-crop that HRDA sees in full resolution.

Plain networks have no sub-crop: their prediction is the logits alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor


class Box(NamedTuple):
    """Bound a rectangle in pixels of the crop: rows y1 ≤ y < y2, columns x1 ≤ x < x2."""

    y1: int
    y2: int
    x1: int
    x2: int


OnFeatures = Callable[[list[Tensor], Box | None], list[Tensor]]  # the encoder's features, and the sub-crop they are of


@dataclass(frozen=True)
class Prediction:
    """Hold the logits (B, C, h, w) of whole crops, and those of HRDA's sub-crop in full resolution."""

    logits: Tensor
    detail: Tensor | None = None  # (B, C, h', w')
    box: Box | None = None  # where the detail lies


def draw_box(height: int, width: int, step: int, rng: np.random.Generator, *, last_position: bool = True) -> Box:
    """Draw a sub-crop of half the crop's sides, at offsets that are multiples of `step` pixels; y before x.

    Args:
        last_position: whether the sub-crop may touch the lower and right border. The released code never draws that
            position.

    Raises:
        ValueError: half a side is not a multiple of `step`.
    """
    sides = (height // 2, width // 2)
    if any(side % step or 2 * side != whole for side, whole in zip(sides, (height, width), strict=True)):
        raise ValueError(f"a crop of {height} × {width} pixels has no half of a multiple of {step} pixels")
    y, x = (step * int(rng.integers(side // step + last_position)) for side in sides)
    return Box(y, y + sides[0], x, x + sides[1])
