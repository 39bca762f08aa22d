"""One image as the compare desk shows it, made in the job threads. No widgets, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PySide6.QtGui import QImage

from core.dataset.folders import Pair
from core.dataset.reading import ReadError, read_label
from core.dataset.recognise import resolve_space
from core.evaluation.compare import Ranked, Region, compare, regions
from core.labels import LabelSpace
from core.render import delta_picture, outcome_picture
from core.runs.folder import LABEL_SPACE_FILE
from masktwins_gui.models.desk import Cell, mask_of, outcome_masks
from masktwins_gui.models.layers import photo_image
from masktwins_gui.models.pictures import brightness, read_pixels
from masktwins_gui.models.services import Classes, ImageFacts


@dataclass(frozen=True)
class Photo:
    """An image's pixels, RGB (H, W, 3) uint8, and the same to paint."""

    pixels: np.ndarray
    image: QImage

    @property
    def num_bytes(self) -> int:
        return self.pixels.nbytes + self.image.sizeInBytes()


@dataclass(frozen=True)
class Delta:
    """What changes from A to B. The last needs a label."""

    facts: ImageFacts
    changes: QImage
    regions: tuple[Region, ...]  # broken ones with a label, else changed ones; the largest first
    outcomes: QImage | None = None  # fixed, broken, both wrong

    @property
    def num_bytes(self) -> int:
        return self.changes.sizeInBytes() * (1 if self.outcomes is None else 2)


@dataclass(frozen=True)
class LabelSource:
    """How labels are read: as the run read its own, else as the project says."""

    run: Path | None
    name: str
    labels: tuple[Path, ...]  # all the label files, to recognise their encoding

    def space(self) -> LabelSpace:
        """Raises LabelSpaceError."""
        stored = self.run / LABEL_SPACE_FILE if self.run is not None else None
        return resolve_space(str(stored) if stored is not None and stored.is_file() else self.name, self.labels).space


def read_photo(pair: Pair) -> Photo:
    """Raises ReadError or PredictionError."""
    pixels = read_pixels(pair)
    return Photo(pixels, photo_image(pixels))


def read_truth(pair: Pair, space: LabelSpace, size: tuple[int, int]) -> np.ndarray | None:
    """An image's label (H, W) uint8; None where there is none of its size."""
    if pair.label is None:
        return None
    try:
        label = read_label(pair.label, space)
    except (ReadError, OSError):
        return None  # the Data page reports it
    return label if label.shape == size else None


def make_delta(
    pair: Pair, photo: Photo, first: Ranked, second: Ranked, label: np.ndarray | None, classes: Classes
) -> Delta:
    """Compare two predictions of an image. Raises ValueError where their sizes differ."""
    comparison = compare(first, second, label, len(classes.names))
    facts = ImageFacts(pair.image, comparison, brightness(photo.pixels))
    changes = photo_image(delta_picture(photo.pixels, first.ids, second.ids, classes.palette))
    if label is None:
        return Delta(facts, changes, regions(first.ids != second.ids, first.ids, second.ids))
    fixed, broken, wrong = outcome_masks(first, second, label)
    found = regions(broken, first.ids, second.ids)
    return Delta(facts, changes, found, photo_image(outcome_picture(photo.pixels, fixed, broken, wrong)))


def delta_of_cell(
    cell: Cell, photo: Photo, first: Ranked, second: Ranked, label: np.ndarray | None, classes: Classes
) -> QImage:
    """The changes of one cell of a matrix alone: everything else shows the photo in grey."""
    mask = mask_of(cell, first, second, label)
    before = first.ids if mask is None else np.where(mask, first.ids, second.ids)
    return photo_image(delta_picture(photo.pixels, before, second.ids, classes.palette))
