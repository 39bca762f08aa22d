"""Label spaces: which classes there are, how they are coloured, and how label files encode them.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

IGNORE = 255  # the one value that stands for "no label", in files as in tensors

# Okabe–Ito's colours first (distinguishable for colour-blind people), then lighter and darker ones between them.
DEFAULT_PALETTE: tuple[tuple[int, int, int], ...] = (
    (86, 180, 233), (213, 94, 0), (240, 228, 66), (110, 110, 110), (204, 121, 167), (0, 158, 115), (230, 159, 0),
    (148, 94, 55), (0, 114, 178), (220, 30, 60), (120, 60, 160), (170, 220, 120), (255, 190, 200), (0, 70, 90),
    (190, 190, 190), (90, 130, 30), (255, 130, 90), (60, 60, 140), (150, 230, 220), (130, 0, 40),
)  # fmt: skip


class LabelSpaceError(ValueError):
    """A label space that cannot be used. The message names the file and the remedy."""


class Encoding(StrEnum):
    """How a label file writes a class."""

    IDS = "ids"  # one channel, a number per pixel
    PALETTE = "palette"  # palette PNG: the index counts, the palette only shows it
    COLOURS = "colours"  # RGB, a colour per class
    BINARY = "binary"  # one channel, 0 and 255


@dataclass(frozen=True)
class LabelSpace:
    """Classes in the order of their ids, 0..C-1, and the encoding of the label files.

    `values` maps file values to ids for IDS, PALETTE and BINARY; empty: values are ids already. A value in neither is
    reported by the check and read as IGNORE. `colours` maps RGB colours to ids for COLOURS.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    encoding: Encoding = Encoding.IDS
    values: Mapping[int, int] = field(default_factory=dict)
    colours: Mapping[tuple[int, int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= len(self.classes) < IGNORE:
            raise LabelSpaceError(
                f"Label space {self.name!r} has {len(self.classes)} classes; 1 to {IGNORE - 1} are possible."
            )
        if len(set(self.classes)) != len(self.classes):
            raise LabelSpaceError(f"Label space {self.name!r} names a class twice.")
        if len(self.palette) != len(self.classes):
            raise LabelSpaceError(
                f"Label space {self.name!r}: {len(self.classes)} classes, {len(self.palette)} colours."
            )
        for value, target in [*self.values.items(), *self.colours.items()]:
            if target != IGNORE and not 0 <= target < len(self.classes):
                raise LabelSpaceError(
                    f"Label space {self.name!r} maps {value} to {target}; ids end at {len(self.classes) - 1}."
                )

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def lookup(self) -> np.ndarray:
        """Table (65536,) uint8 from a file's value to its id; unknown values give IGNORE."""
        table = np.full(65536, IGNORE, np.uint8)
        if self.values:
            for value, target in self.values.items():
                table[value] = target
        else:
            table[: self.num_classes] = np.arange(self.num_classes, dtype=np.uint8)
        return table
