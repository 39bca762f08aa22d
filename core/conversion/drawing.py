"""Polygons and run lengths to pixels. Importable without torch.

A pixel is inside an object where an odd number of the object's polygons cover it (OpenCV's even-odd rule), so that an inner
polygon is a hole. Pixels that a border passes through are inside. Of two objects the later one covers the earlier.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from core.conversion.output import ConversionError

RULE = (
    "Polygons are filled by the even-odd rule: an inner polygon of the same object is a hole. Of two objects that overlap, "
    "the later one counts."
)
_SHIFT = 4  # bits of a pixel's fraction


def fill(label: np.ndarray, polygons: Sequence[np.ndarray], class_id: int) -> None:
    """Fill one object's polygons, each float (N, 2) of x and y in pixels, whose corner is (0, 0)."""
    points = [np.rint((np.clip(p, -1e5, 1e5) - 0.5) * (1 << _SHIFT)).astype(np.int32) for p in polygons if len(p) >= 3]
    if points:
        cv2.fillPoly(label, points, class_id, lineType=cv2.LINE_8, shift=_SHIFT)


def pairs(numbers: Sequence[float]) -> np.ndarray:
    """A flat list x, y, x, y … as (N, 2). Raises ConversionError."""
    points = np.asarray(numbers, float)
    if points.ndim != 1 or points.size % 2 or not np.isfinite(points).all():
        raise ConversionError("a polygon is not a list of x and y")
    return points.reshape(-1, 2)


def run_lengths(counts: Sequence[int], height: int, width: int, *, by_columns: bool) -> np.ndarray:
    """A mask bool (H, W) from lengths of runs, alternately outside and inside. Raises ConversionError."""
    lengths = np.asarray(counts, np.int64)
    if lengths.size and (lengths.min() < 0 or lengths.sum() != height * width):
        raise ConversionError("run lengths do not add up to the size of the mask")
    flat = np.repeat(np.arange(lengths.size) % 2 == 1, lengths)
    return flat.reshape(width, height).T if by_columns else flat.reshape(height, width)


def coco_counts(text: str) -> list[int]:
    """The run lengths in COCO's compressed text. Raises ConversionError."""
    counts: list[int] = []
    position = 0
    data = text.encode("ascii", "replace")
    while position < len(data):
        value = shift = 0
        while True:
            if position >= len(data) or shift > 60:
                raise ConversionError("compressed run lengths are damaged")
            byte = data[position] - 48
            position += 1
            value |= (byte & 31) << shift
            shift += 5
            if not byte & 32:
                value -= (1 << shift) if byte & 16 else 0
                break
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    return counts
