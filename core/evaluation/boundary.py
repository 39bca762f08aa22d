"""Boundary IoU: how well the outlines of the classes fit (Cheng et al., CVPR 2021). Importable without torch.

A class's band holds its pixels within `distance` of its outline. Boundary IoU is the intersection over union of the
label's and the prediction's bands. Large regions hide errors at their outlines from the ordinary IoU; here they count.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from core.labels import IGNORE

RATIO = 0.02  # width of the band as a share of the image's diagonal, as in the paper


def band_width(height: int, width: int, ratio: float = RATIO) -> int:
    """Width of the band in pixels, at least 1."""
    return max(1, round(ratio * math.hypot(height, width)))


def boundary_counts(
    label: np.ndarray, prediction: np.ndarray, num_classes: int, distance: int | None = None
) -> np.ndarray:
    """Count the pixels in the intersection and in the union of the bands, per class.

    Pixels labelled IGNORE count nowhere, and the outline of an ignored area is no outline. The image's border is one, as
    in the paper's code.

    Args:
        label: class ids and IGNORE, (H, W) uint8.
        prediction: class ids, (H, W) uint8.
        distance: width of the band in pixels; None takes `band_width` of the image.

    Returns:
        (C, 2) int64: intersection and union. Their quotient over the sums of many images is the boundary IoU.
    """
    if label.shape != prediction.shape:
        raise ValueError(f"label {label.shape} and prediction {prediction.shape} differ in shape")
    width = distance if distance is not None else band_width(*label.shape)
    ignored = label == IGNORE
    counts = np.zeros((num_classes, 2), np.int64)
    for index in _present(label, prediction, num_classes):
        first = _band(label == index, ignored, width)
        second = _band(prediction == index, ignored, width)
        counts[index] = np.count_nonzero(first & second), np.count_nonzero(first | second)
    return counts


def boundary_iou(counts: np.ndarray) -> np.ndarray:
    """Boundary IoU (C,) in 0..1 of counts (C, 2); NaN for a class without a band."""
    union = counts[:, 1].astype(np.float64)
    return np.divide(counts[:, 0], union, out=np.full(len(counts), np.nan), where=union > 0)


def _present(label: np.ndarray, prediction: np.ndarray, num_classes: int) -> list[int]:
    seen = np.bincount(label.ravel(), minlength=256) + np.bincount(prediction.ravel(), minlength=256)
    return np.flatnonzero(seen[:num_classes]).tolist()


def _band(mask: np.ndarray, ignored: np.ndarray, width: int) -> np.ndarray:
    """Pixels of the mask at most `width` from a pixel of another class, counted in steps to any of eight neighbours."""
    inside = np.pad((mask | ignored).astype(np.uint8), 1)
    away = cv2.distanceTransform(inside, cv2.DIST_C, 3)[1:-1, 1:-1]
    return mask & ~ignored & (away <= width)
