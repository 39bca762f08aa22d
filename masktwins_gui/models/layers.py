"""Class ids as an image whose colours are a table: changing colours, opacity or which classes show costs no new pixels."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from PySide6.QtGui import QImage

from core.labels import IGNORE
from core.render import UNKNOWN_COLOUR

Colour = tuple[int, int, int]
TRANSPARENT = 0


def colours(palette: Sequence[Colour], hidden: Collection[int] = ()) -> list[int]:
    """Colours 0xAARRGGBB by id, 256 of them: hidden classes and IGNORE are transparent, ids that are no class magenta."""
    table = [_opaque(UNKNOWN_COLOUR)] * 256
    for index, colour in enumerate(palette):
        table[index] = TRANSPARENT if index in hidden else _opaque(colour)
    table[IGNORE] = TRANSPARENT
    return table


def _opaque(colour: Colour) -> int:
    red, green, blue = colour
    return 0xFF000000 | red << 16 | green << 8 | blue


def label_image(ids: np.ndarray, table: Sequence[int]) -> QImage:
    """An image of class ids (H, W) uint8, with memory of its own."""
    data = np.ascontiguousarray(ids)
    height, width = data.shape
    image = QImage(data.data, width, height, width, QImage.Format.Format_Indexed8).copy()
    image.setColorTable(list(table))
    return image


def photo_image(pixels: np.ndarray) -> QImage:
    """An image of RGB uint8 (H, W, 3), in the format that is painted fastest. Any thread."""
    data = np.ascontiguousarray(pixels)
    height, width = data.shape[:2]
    image = QImage(data.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return image.convertToFormat(QImage.Format.Format_RGB32)


def hide(ids: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Ids (H, W) uint8 with IGNORE, all bits set, where the mask (H, W) is True."""
    return ids | where.view(np.uint8) * np.uint8(IGNORE)
