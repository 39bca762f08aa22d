"""What a sample of label files holds: the numbers or colours in them, how often, in how many files, and as areas or not.

A value is *solid* when somewhere a pixel and its eight neighbours all have it. A class usually is; a value that only occurs
on edges, from smoothing or lossy compression, is not. A value is *tiny* when it has a tiny share of the pixels and occurs
in few of the files: a stray, which never becomes a class by itself.

Importable without torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from core.dataset.reading import LabelEncodingError, ReadError, decode_label, open_image, pack, read_bytes
from core.labels import IGNORE, Colour, Encoding, LabelSpaceError

PIXEL_BUDGET = 64_000_000  # beyond the files asked for, labels are read until this many pixels are seen
MAX_FILES = 1000
THIN_SHARE = 0.002  # of the pixels: classes of thin things (cracks, wires) reach it without being solid anywhere
TINY_SHARE = 1e-5  # of the pixels, for values that are solid somewhere
FEW_FILES = 0.05  # of the files
SOLID_SHARE = 0.2  # labels have at least this share of pixels that equal their neighbours
MAX_VALUES = 4096  # with more different values than this, and few solid pixels, the files are photographs


class Storage(StrEnum):
    """What is stored per pixel."""

    NUMBERS = "numbers"
    PALETTE = "palette"
    COLOURS = "colours"


@dataclass(frozen=True)
class Evidence:
    """A sample of label files, taken together.

    `shares` is the share of all pixels by value; a value is a number, a palette's index, or a colour packed as
    red << 16 | green << 8 | blue. `palette` has the colours of the indices; where the files do not agree on them, the
    indices mean nothing, and the storage is COLOURS.
    """

    names: tuple[str, ...]
    num_read: int
    num_unreadable: int
    storage: Storage
    shares: Mapping[int, float]
    solid: Mapping[int, float]  # share of all pixels that are of a value and equal their eight neighbours
    files: Mapping[int, int]  # number of files in which a value occurs
    examples: Mapping[int, Path]  # the file with the most pixels of a value
    palette: Mapping[int, Colour]
    num_lossy: int  # JPEGs among the files tried
    lossy: bool  # all are JPEGs; else the JPEGs' values do not count
    photographs: bool  # reading ended early: too many different values, and no areas

    @cached_property
    def solid_share(self) -> float:
        """Share of all pixels that equal their eight neighbours."""
        return sum(self.solid.values())

    def is_tiny(self, value: int) -> bool:
        """Whether a value is so rare, in pixels and in files, that it is taken for a stray."""
        if self.files[value] > max(1, FEW_FILES * self.num_read):
            return False
        return self.shares[value] < (TINY_SHARE if value in self.solid else THIN_SHARE)

    def share(self, values: Iterable[int]) -> float:
        """Share of all pixels that have one of the values."""
        return sum(self.shares[value] for value in values)


def gather(labels: Sequence[Path], limit: int) -> Evidence:
    """Read at least `limit` of the labels. JPEGs are looked at only where there is nothing else.

    Raises:
        LabelSpaceError: none of the labels tried can be read.
    """
    tally, jpegs = _Tally(), []
    for path in spread(labels):
        if tally.photographs or (
            tally.num_tried >= limit and (tally.pixels >= PIXEL_BUDGET or tally.num_tried >= MAX_FILES)
        ):
            break
        jpegs += tally.add(path)
    num_lossy = len(jpegs)
    if not tally.num_read:
        for path in jpegs[:limit]:
            tally.add(path, lossy=True)
    if not tally.num_read:
        raise LabelSpaceError(f"None of the {tally.num_tried} labels tried can be read. {tally.first_error}")
    return tally.result(num_lossy)


def spread(labels: Sequence[Path]) -> Iterator[Path]:
    """Yield each label once, in an order in which any prefix is spread evenly over the list (van der Corput)."""
    bits = max(1, (len(labels) - 1).bit_length())
    for i in range(1 << bits):
        position = int(f"{i:0{bits}b}"[::-1], 2)
        if position < len(labels):
            yield labels[position]


def _palette_of(image: Image.Image) -> np.ndarray:
    """Palette as uint8 (256, 3); entries a file leaves out are black."""
    flat = np.asarray((image.getpalette("RGB") or [])[:768], np.uint8)
    table = np.zeros(768, np.uint8)
    table[: flat.size] = flat
    return table.reshape(256, 3)


class _Counts:
    """Pixels, areas and files by value."""

    def __init__(self) -> None:
        self.pixels: Counter[int] = Counter()
        self.solid: Counter[int] = Counter()
        self.files: Counter[int] = Counter()
        self.most: dict[int, tuple[int, Path]] = {}  # by value: the file with the most pixels, and how many

    def add(self, path: Path, values: np.ndarray) -> None:
        for value, count in _pairs(value_counts(values)):
            self.pixels[value] += count
            self.files[value] += 1
            if count > self.most.get(value, (0, path))[0]:
                self.most[value] = count, path
        for value, count in _pairs(value_counts(solid_values(values))):
            self.solid[value] += count

    def __add__(self, other: _Counts) -> _Counts:
        both = _Counts()
        both.pixels, both.solid = self.pixels + other.pixels, self.solid + other.solid
        both.files = self.files + other.files
        both.most = {**other.most, **self.most}
        return both


def _pairs(counts: tuple[np.ndarray, np.ndarray]) -> Iterator[tuple[int, int]]:
    return zip(counts[0].tolist(), counts[1].tolist(), strict=True)


class _Tally:
    """Counts of values over files. Counts of colours and of numbers are kept apart until the end."""

    def __init__(self) -> None:
        self.num_tried = self.num_read = self.num_failed = self.pixels = 0
        self.first_error = ""
        self.photographs = self.only_lossy = False
        self._names: list[str] = []
        self._counts = {storage: _Counts() for storage in Storage}
        self._files: Counter[Storage] = Counter()
        self._palettes: dict[int, set[int]] = {}  # index: its packed colours in the files
        self._shown = _Counts()  # palette files, as the colours they show

    def add(self, path: Path, *, lossy: bool = False) -> list[Path]:
        """Read one label; one that cannot be read is counted, and left to the check to report.

        Returns:
            The path itself where it is a JPEG, and JPEGs are to be left aside.
        """
        self.num_tried += not lossy
        try:
            data = read_bytes(path)
            if data.startswith(b"\xff\xd8") and not lossy:
                return [path]
            storage, values = self._values(path, data)
        except ReadError as error:
            self.num_failed += 1
            self.first_error = self.first_error or str(error)
            return []
        self.only_lossy |= lossy
        self.num_read += 1
        self.pixels += values.size
        self._names.append(path.name)
        self._files[storage] += 1
        counts = self._counts[storage]
        counts.add(path, values)
        few_solid = counts.solid.total() < SOLID_SHARE * counts.pixels.total()
        self.photographs |= len(counts.pixels) > MAX_VALUES and few_solid
        return []

    def _values(self, path: Path, data: bytes) -> tuple[Storage, np.ndarray]:
        try:
            values = decode_label(path, data, Encoding.IDS)
        except LabelEncodingError:
            return Storage.COLOURS, pack(decode_label(path, data, Encoding.COLOURS))
        with open_image(path, BytesIO(data)) as image:
            if image.mode not in ("P", "PA"):
                return Storage.NUMBERS, values
            palette = pack(_palette_of(image))
        for index in value_counts(values)[0].tolist():
            self._palettes.setdefault(index, set()).add(int(palette[index]))
        self._shown.add(path, palette[values])
        return Storage.PALETTE, values

    def result(self, num_lossy: int) -> Evidence:
        storage = self._storage()
        counts = self._counts[storage]
        palette: dict[int, Colour] = {}
        if storage is Storage.PALETTE and self._palettes_differ():
            storage, counts = Storage.COLOURS, self._shown
        elif storage is Storage.PALETTE:
            counts = counts + self._counts[Storage.NUMBERS]
            palette = {index: unpack(min(colours)) for index, colours in self._palettes.items()}
        total = max(1, counts.pixels.total())
        return Evidence(
            names=tuple(self._names),
            num_read=self.num_read,
            num_unreadable=self.num_failed,
            storage=storage,
            shares={value: count / total for value, count in sorted(counts.pixels.items())},
            solid={value: count / total for value, count in sorted(counts.solid.items())},
            files=counts.files,
            examples={value: path for value, (_, path) in counts.most.items()},
            palette=palette,
            num_lossy=num_lossy,
            lossy=self.only_lossy,
            photographs=self.photographs,
        )

    def _palettes_differ(self) -> bool:
        return any(len(colours) > 1 for index, colours in self._palettes.items() if index != IGNORE)

    def _storage(self) -> Storage:
        """Colours where most files hold colours; a file of numbers among palette files is one of theirs."""
        if self._files[Storage.COLOURS] * 2 > self.num_read:
            return Storage.COLOURS
        return (
            Storage.PALETTE
            if self._files[Storage.PALETTE] * 2 >= self.num_read - self._files[Storage.COLOURS]
            else Storage.NUMBERS
        )


def value_counts(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different values of an array, sorted, and how many pixels have each."""
    flat = values.ravel()
    if not flat.size:
        return flat, np.zeros(0, np.int64)
    if flat.dtype != np.uint32:
        counts = np.bincount(flat)
        found = np.flatnonzero(counts)
        return found, counts[found]
    # Labels are made of runs: sorting one pixel of each is many times as fast as sorting all.
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    lengths = np.diff(np.append(starts, flat.size))
    found, position = np.unique(flat[starts], return_inverse=True)
    return found, np.bincount(position, weights=lengths).astype(np.int64)


def solid_values(values: np.ndarray) -> np.ndarray:
    """The values (with repetitions) of all pixels of an array (H, W) that equal their eight neighbours."""
    if min(values.shape) < 3:
        return values.ravel()
    rows = (values[:-2] == values[1:-1]) & (values[2:] == values[1:-1])  # equal above and below
    same = rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]
    middle = values[1:-1]
    same &= (middle[:, :-2] == middle[:, 1:-1]) & (middle[:, 2:] == middle[:, 1:-1])
    return middle[:, 1:-1][same]


def unpack(value: int) -> Colour:
    return value >> 16, value >> 8 & 255, value & 255
