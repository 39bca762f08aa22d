"""Contact sheets: some images of each camera with their labels laid over, so that one look shows whether they fit.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from core.checking.report import Report
from core.configuration.sections import DataConfig
from core.dataset.evidence import spread
from core.dataset.folders import Pair
from core.dataset.listing import scan_roles
from core.dataset.reading import ReadError, read_image, read_label
from core.labels import LabelSpace
from core.render import overlay

NUM_PICTURES = 12
COLUMNS = 3
SIDE = 360  # px: a picture is no wider and no higher
GAP = 8
TEXT = 16  # px for a line of text
BACKGROUND, INK = (24, 24, 24), (230, 230, 230)


def write_sheets(data: DataConfig, report: Report, out: Path) -> list[Path]:
    """Write `source.png`, `target.png` and, where other images have the target labels, `evaluation.png` into a folder.

    Returns:
        The files written; a camera without an image that can be read has none.

    Raises:
        OSError: the folder cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = []
    scans = scan_roles(data)
    own = data.evaluation_images in (None, data.target_images)
    for role, found in scans.items():
        if role == "target" and own and "evaluation" in scans:
            continue  # the same images, with their labels
        name = "target" if role == "evaluation" and own else role
        space = report.space if role == "source" else report.target_space
        if (sheet := draw_sheet(found.pairs, space)) is not None:
            path = out / f"{name}.png"
            Image.fromarray(sheet).save(path)
            written.append(path)
    return written


def draw_sheet(pairs: Sequence[Pair], space: LabelSpace | None) -> np.ndarray | None:
    """Draw some pairs, evenly spread over the list: the image, and beside it the label over the image.

    Args:
        space: how the labels are read; None: the images alone.

    Returns:
        RGB uint8 (H, W, 3) with the classes' colours at the bottom; None where no image can be read.
    """
    tiles = list(islice(_tiles(pairs, space), NUM_PICTURES))
    if not tiles:
        return None
    width = max(tile.width for tile in tiles)
    height = max(tile.height for tile in tiles)
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    legend = _legend(space, columns * (width + GAP)) if space else None
    bottom = legend.height + GAP if legend else 0
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, rows * (height + GAP) + GAP + bottom), BACKGROUND)
    for i, tile in enumerate(tiles):
        sheet.paste(tile, (GAP + i % columns * (width + GAP), GAP + i // columns * (height + GAP)))
    if legend:
        sheet.paste(legend, (GAP, rows * (height + GAP) + GAP))
    return np.array(sheet)


def _tiles(pairs: Sequence[Pair], space: LabelSpace | None) -> Iterator[Image.Image]:
    labelled = [pair for pair in pairs if pair.label is not None] or list(pairs)
    by_image = {pair.image: pair for pair in labelled}
    for path in spread(list(by_image)):
        try:
            yield _tile(by_image[path], space)
        except ReadError:
            continue  # the report names it


def _tile(pair: Pair, space: LabelSpace | None) -> Image.Image:
    image = read_image(pair.image)
    parts = [_small(image)]
    remark = "" if pair.label else " (no label)"
    if pair.label is not None and space is not None:
        label = read_label(pair.label, space)
        if label.shape == image.shape[:2]:
            parts.append(_small(overlay(image, label, space.palette, 0.6)))
        else:
            remark = " (the label has another size)"
    height, width = parts[0].shape[:2]
    tile = Image.new("RGB", (len(parts) * (width + 2) - 2, height + TEXT), BACKGROUND)
    for i, part in enumerate(parts):
        tile.paste(Image.fromarray(part), (i * (width + 2), TEXT))
    ImageDraw.Draw(tile).text((0, 2), f"{pair.name}{remark}"[: tile.width // 6], fill=INK)
    return tile


def _small(image: np.ndarray) -> np.ndarray:
    scale = min(1.0, SIDE / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return image if scale == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _legend(space: LabelSpace, width: int) -> Image.Image:
    """The classes' names with their colours, in as many lines as are needed."""
    places: list[tuple[int, int]] = []
    x = y = 0
    for name in space.classes:
        needed = 24 + 7 * len(name)
        if x and x + needed > width:
            x, y = 0, y + TEXT + 4
        places.append((x, y))
        x += needed
    legend = Image.new("RGB", (width, y + TEXT + 4), BACKGROUND)
    draw = ImageDraw.Draw(legend)
    for (left, top), name, colour in zip(places, space.classes, space.palette, strict=True):
        draw.rectangle((left, top + 2, left + 12, top + 14), fill=colour)
        draw.text((left + 16, top + 2), name, fill=INK)
    return legend
