"""Pictures for the pages, made in the job threads from files. No Qt widgets, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage

from core.config import MaskConfig, MaskStrategy
from core.data.folders import Pair
from core.data.reading import ReadError, read_image, read_label
from core.labels import LabelSpace
from core.method.masks import draw_keep_masks
from core.render import masked_picture, overlay
from masktwins_gui.models.images import THUMBNAIL


def thumbnail(pair: Pair, space: LabelSpace | None, opacity: float) -> QImage:
    """A small picture of an image with its label laid over it; the image alone where the label cannot be read."""
    image = read_image(pair.image)
    step = max(1, min(image.shape[0] // (2 * THUMBNAIL.height()), image.shape[1] // (2 * THUMBNAIL.width())))
    picture = np.ascontiguousarray(image[::step, ::step])
    if opacity > 0 and pair.label is not None and space is not None:
        label = _label(pair.label, space)
        if label is not None and label.shape == image.shape[:2]:
            picture = overlay(picture, np.ascontiguousarray(label[::step, ::step]), space.palette, opacity)
    picture = np.ascontiguousarray(picture)
    height, width = picture.shape[:2]
    whole = QImage(picture.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return whole.scaled(
        THUMBNAIL, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    ).copy()


def _label(path: Path, space: LabelSpace) -> np.ndarray | None:
    try:
        return read_label(path, space)
    except (ReadError, OSError):
        return None


@dataclass(frozen=True)
class Twins:
    """The mask preview: RGB uint8 (H, W, 3), and how often the pixels are shown."""

    original: np.ndarray
    first: np.ndarray | None
    second: np.ndarray | None
    together: np.ndarray | None
    once: float  # share of pixels that exactly one twin shows
    both: float
    never: float
    hidden: float  # share that twin A hides


def draw_twins(image: np.ndarray, mask: MaskConfig, crop_hw: tuple[int, int], seed: int) -> Twins:
    """Mask the middle crop of an image by the very code that trains."""
    crop = centre_crop(image, crop_hw)
    height, width = crop.shape[:2]
    if mask.strategy is MaskStrategy.OFF:
        return Twins(crop, None, None, None, 0.0, 0.0, 0.0, 0.0)
    keeps = [keep[0, 0] for keep in draw_keep_masks(mask, 1, height, width, np.random.default_rng(seed))]
    seen = np.sum(keeps, axis=0)
    pictures = [masked_picture(crop, keep) for keep in keeps]
    return Twins(
        original=crop,
        first=pictures[0],
        second=pictures[1] if len(pictures) > 1 else None,
        together=masked_picture(crop, seen > 0) if len(pictures) > 1 else None,
        once=float((seen == 1).mean()),
        both=float((seen == 2).mean()),
        never=float((seen == 0).mean()),
        hidden=float(1 - keeps[0].mean()),
    )


def centre_crop(image: np.ndarray, crop_hw: tuple[int, int]) -> np.ndarray:
    """The middle of an image, at most (height, width) pixels."""
    height, width = min(crop_hw[0], image.shape[0]), min(crop_hw[1], image.shape[1])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return np.ascontiguousarray(image[top : top + height, left : left + width])
