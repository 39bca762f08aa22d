"""The classes of a model, their colours on screen, and what the values of label files mean.

A value of a label file is a number or an RGB colour. A label space maps it to a class id, to IGNORE ("no label"), or does
not know it. Values it does not know are counted and reported wherever labels are read, never dropped in silence.

Importable without torch.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

import numpy as np

IGNORE = 255  # the one value that means "no label", in files as in tensors
UNKNOWN = 254  # never a class (the last possible id is 253): what a lookup gives for values it does not know
INSTANCE_FACTORS = (256, 1000)  # Mapillary's and Cityscapes' way to write class and instance into one number

Colour = tuple[int, int, int]

# Okabe–Ito's seven colours, then each time the colour farthest from all before it (and from black) as seen with normal
# colour vision, protanopia, deuteranopia and tritanopia: any two of the twenty stay at least 16 CIELAB units apart in each.
DEFAULT_PALETTE: tuple[Colour, ...] = (
    (86, 180, 233), (213, 94, 0), (240, 228, 66), (0, 114, 178), (204, 121, 167), (0, 158, 115), (230, 159, 0),
    (135, 0, 255), (195, 255, 165), (135, 30, 0), (60, 30, 165), (75, 0, 90), (105, 255, 255), (180, 90, 255),
    (135, 60, 105), (255, 0, 90), (195, 210, 180), (210, 180, 90), (105, 105, 60), (45, 30, 0),
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

    Attributes:
        values: file values to ids for IDS, PALETTE and BINARY. Empty: values are ids already (and for BINARY 255 is the
            last class).
        colours: RGB colours to ids, for COLOURS.
        instances: 256 or 1000 where a number holds a class and an instance: class × 256 + instance, or
            class × 1000 + instance (numbers below 1000 are classes then). `values` maps the classes. 0: plain numbers.
        radius: how far a number (difference) or a colour (Euclidean distance in RGB) may be from a named one to be read as
            it; the nearest counts. 0: exact values only.
        ignore_others: read all other values as IGNORE. False: they are unknown, and reported.
        uncounted: names of the classes that are trained, but left out of the mean IoU.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    encoding: Encoding = Encoding.IDS
    values: Mapping[int, int] = field(default_factory=dict)
    colours: Mapping[Colour, int] = field(default_factory=dict)
    instances: int = 0
    radius: int = 0
    ignore_others: bool = False
    uncounted: frozenset[str] = frozenset()

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
        if self.encoding is Encoding.COLOURS and not self.colours:
            raise LabelSpaceError(f"Label space {self.name!r} is encoded in colours, but names none.")
        self._check_mappings()
        self._check_reading()

    def _check_mappings(self) -> None:
        for value, target in [*self.values.items(), *self.colours.items()]:
            if target != IGNORE and not 0 <= target < len(self.classes):
                raise LabelSpaceError(
                    f"Label space {self.name!r} maps {value} to {target}; ids end at {len(self.classes) - 1}."
                )
        if wrong := [value for value in self.values if not 0 <= value <= 65535]:
            raise LabelSpaceError(f"Label space {self.name!r}: a file cannot hold {wrong[0]}; 0 to 65535 are possible.")
        for colour in [*self.palette, *self.colours]:
            if len(colour) != 3 or not all(0 <= channel <= 255 for channel in colour):
                raise LabelSpaceError(f"Label space {self.name!r}: {colour} is no colour of three numbers, 0 to 255.")

    def _check_reading(self) -> None:
        if self.instances and (self.instances not in INSTANCE_FACTORS or self.encoding is not Encoding.IDS):
            raise LabelSpaceError(
                f'Label space {self.name!r}: instances is 256 or 1000, and needs encoding = "ids", not {self.instances} '
                f"with {self.encoding.value!r}."
            )
        if not 0 <= self.radius <= 255:
            raise LabelSpaceError(f"Label space {self.name!r}: radius = {self.radius}; 0 to 255 are possible.")
        if wrong := self.uncounted - set(self.classes):
            raise LabelSpaceError(f"Label space {self.name!r} has no class {min(wrong)!r} to leave out of the mean.")

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def counted(self) -> tuple[str, ...]:
        """Names of the classes that the mean IoU is over."""
        return tuple(name for name in self.classes if name not in self.uncounted)

    @property
    def is_positional(self) -> bool:
        """Whether the numbers in the files are the ids themselves, or ignored."""
        return not self.instances and all(value == target or target == IGNORE for value, target in self.values.items())

    def named_values(self) -> dict[int, int]:
        """File values (classes, where `instances` is set) to ids or IGNORE, as stated and by default."""
        if self.values:
            return {IGNORE: IGNORE, **self.values}
        named = {IGNORE: IGNORE, **{i: i for i in range(self.num_classes)}}
        if self.encoding is Encoding.BINARY:
            named[IGNORE] = self.num_classes - 1
        return named

    def lookup(self, unknown: int = IGNORE) -> np.ndarray:
        """Table (65536,) uint8 from a file's value to its id; values that mean nothing give `unknown`."""
        table = np.full(65536, UNKNOWN, np.uint8)
        named = self.named_values()
        table[list(named)] = list(named.values())
        if self.radius:
            table = _with_nearest_values(table, sorted(named), self.radius)
        if self.instances:
            table = table[_class_part(self.instances)]
        table[table == UNKNOWN] = IGNORE if self.ignore_others else unknown
        return table

    def colour_lookup(self, unknown: int = IGNORE) -> np.ndarray:
        """Table (2**24,) uint8 from a packed colour (red << 16 | green << 8 | blue) to its id; others give `unknown`."""
        others = IGNORE if self.ignore_others else unknown
        if self.radius:
            table = _nearest_colours(self.colours, self.radius)
            table[table == UNKNOWN] = others
            return table
        table = np.full(1 << 24, others, np.uint8)
        for (red, green, blue), target in self.colours.items():
            table[red << 16 | green << 8 | blue] = target
        return table

    @cached_property
    def table(self) -> np.ndarray:
        """Table that label files of this encoding are read with, made once; values it does not know give UNKNOWN.

        65,536 entries for numbers, 16 MB for COLOURS.
        """
        return self.colour_lookup(UNKNOWN) if self.encoding is Encoding.COLOURS else self.lookup(UNKNOWN)

    def in_colours(self) -> LabelSpace:
        """Return the same classes as files in RGB show them; colours not told apart by a mapping are the palette's."""
        colours = self.colours or {colour: i for i, colour in reversed(list(enumerate(self.palette)))}
        return replace(self, encoding=Encoding.COLOURS, colours=colours, instances=0)


def _class_part(factor: int) -> np.ndarray:
    """The class in every number 0..65535 that holds a class and an instance, int64 (65536,)."""
    values = np.arange(65536)
    return np.where(values >= factor, values // factor, values if factor == 1000 else 0)


def _with_nearest_values(table: np.ndarray, named: list[int], radius: int) -> np.ndarray:
    """Give each unknown value of a table (65536,) the id of the nearest named value, if that is near enough."""
    values, ends = np.arange(65536), np.array(named)
    right = np.clip(np.searchsorted(ends, values), 0, len(ends) - 1)
    left = np.maximum(right - 1, 0)
    nearest = np.where(abs(ends[left] - values) <= abs(ends[right] - values), ends[left], ends[right])
    return np.where(abs(nearest - values) <= radius, table[nearest], table).astype(np.uint8)


def _nearest_colours(colours: Mapping[Colour, int], radius: int) -> np.ndarray:
    """Table (2**24,) uint8: the id of the nearest named colour within the radius, else UNKNOWN."""
    table = np.full((256, 256, 256), UNKNOWN, np.uint8)
    best = np.full((256, 256, 256), radius**2 + 1, np.uint16 if radius < 255 else np.uint32)
    for colour, target in colours.items():
        box = tuple(slice(max(0, channel - radius), channel + radius + 1) for channel in colour)
        red, green, blue = ((np.arange(256)[part] - channel) ** 2 for part, channel in zip(box, colour, strict=True))
        distances = red[:, None, None] + green[None, :, None] + blue[None, None, :]
        closer = distances < best[box]
        best[box][closer] = distances[closer]
        table[box][closer] = target
    return table.reshape(-1)


def default_palette(num: int) -> tuple[Colour, ...]:
    """Return `num` different colours: the default palette, then hues around the circle in three lightnesses.

    For those beyond the default palette no more is promised than that they are different.
    """
    colours = list(DEFAULT_PALETTE[:num])
    step = 0
    while len(colours) < num:
        step += 1
        lightness = (0.35, 0.6, 0.8)[step % 3]
        red, green, blue = colorsys.hls_to_rgb(step * 0.61803 % 1, lightness, 0.75 - 0.4 * (step // 3 % 2))
        colour = (round(red * 255), round(green * 255), round(blue * 255))
        if colour not in colours:
            colours.append(colour)
    return tuple(colours)
