"""What a sample of label files holds: the numbers or colours in them, how often, and whether they form areas.

Colours and grey values that only ever occur on edges are strays of smoothing or of lossy compression. A value is *solid*
when somewhere a pixel and its eight neighbours all have it: a class is, a stray is not. Classes of thin things (cracks,
wires) may never be solid: a colour that covers THIN_SHARE of the pixels and does not lie between two solid ones is one too.

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
THIN_SHARE = 0.002
MIXTURE_DISTANCE = 8.0  # how far a mixture of two colours may be from the line between them, in RGB
MAX_CLASSES = 254
MAX_VALUES = 4096  # a sample with more different values than this holds photographs


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
    solid: frozenset[int]
    solid_share: float  # share of all pixels that equal their eight neighbours
    palette: Mapping[int, Colour]
    lossy: bool  # some are JPEGs

    @cached_property
    def classes(self) -> list[int]:
        """Values that are no strays, sorted."""
        thin = [value for value, share in self.shares.items() if share >= THIN_SHARE and value not in self.solid]
        if self.storage is not Storage.COLOURS or not thin or len(self.solid) >= MAX_CLASSES:
            return sorted(self.solid)
        return sorted(self.solid | {value for value in thin if not _is_mixture(value, self.solid)})

    @cached_property
    def strays(self) -> list[int]:
        """The other values, sorted."""
        return sorted(self.shares.keys() - set(self.classes))

    def share(self, values: Iterable[int]) -> float:
        """Share of all pixels that have one of the values."""
        return sum(self.shares[value] for value in values)


def gather(labels: Sequence[Path], limit: int) -> Evidence:
    """Read at least `limit` of the labels. Raises LabelSpaceError when none can be read, or they are photographs."""
    tally = _Tally()
    for path in spread(labels):
        if tally.num_tried >= limit and (tally.pixels >= PIXEL_BUDGET or tally.num_tried >= MAX_FILES):
            break
        tally.add(path)
    if not tally.num_read:
        raise LabelSpaceError(f"None of the {tally.num_tried} labels tried can be read. {tally.first_error}")
    return tally.result()


def spread(labels: Sequence[Path]) -> Iterator[Path]:
    """Every label once, in an order whose every beginning is spread over the list (van der Corput's)."""
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


class _Tally:
    """Counts of values over files. Counts of colours and of numbers are kept apart until the end."""

    def __init__(self) -> None:
        self.num_tried = self.num_read = self.pixels = self._solid_pixels = 0
        self.first_error = ""
        self._names: list[str] = []
        self._counts: dict[Storage, Counter[int]] = {storage: Counter() for storage in Storage}
        self._solid: dict[Storage, set[int]] = {storage: set() for storage in Storage}
        self._files: Counter[Storage] = Counter()
        self._palettes: dict[int, set[int]] = {}  # index: its packed colours in the files
        self._shown: tuple[Counter[int], set[int]] = (Counter(), set())  # palette files, as the colours they show
        self._lossy = False

    def add(self, path: Path) -> None:
        """Read one label; one that cannot be read is counted, and left to the check to report."""
        self.num_tried += 1
        try:
            data = read_bytes(path)
            storage, values = self._values(path, data)
        except ReadError as error:
            self.first_error = self.first_error or str(error)
            return
        self.num_read += 1
        self.pixels += values.size
        self._names.append(path.name)
        self._lossy |= data.startswith(b"\xff\xd8")
        self._files[storage] += 1
        self._count(path, storage, values)

    def _values(self, path: Path, data: bytes) -> tuple[Storage, np.ndarray]:
        try:
            values = decode_label(path, data, Encoding.IDS)
        except LabelEncodingError:
            return Storage.COLOURS, pack(decode_label(path, data, Encoding.COLOURS))
        with open_image(path, BytesIO(data)) as image:
            if image.mode not in ("P", "PA"):
                return Storage.NUMBERS, values
            palette = pack(_palette_of(image))
        for index, count in zip(*(part.tolist() for part in value_counts(values)), strict=True):
            self._palettes.setdefault(index, set()).add(int(palette[index]))
            self._shown[0][int(palette[index])] += count
        self._shown[1].update(value_counts(palette[solid_values(values)])[0].tolist())
        return Storage.PALETTE, values

    def _count(self, path: Path, storage: Storage, values: np.ndarray) -> None:
        found, counts = value_counts(values)
        self._counts[storage].update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
        solid = solid_values(values)
        self._solid_pixels += solid.size
        self._solid[storage].update(value_counts(solid)[0].tolist())
        if len(self._counts[storage]) > MAX_VALUES and len(self._solid[storage]) < len(self._counts[storage]) // 2:
            raise LabelSpaceError(
                f"The labels look like photographs: {path.name} and the others hold more than {MAX_VALUES} different "
                f"colours{' (and are JPEGs, which change colours; save them as PNG)' if self._lossy else ''}. "
                "Are images and labels exchanged?"
            )

    def result(self) -> Evidence:
        storage = self._storage()
        counts, solid = self._counts[storage], self._solid[storage]
        palette: dict[int, Colour] = {}
        if storage is Storage.PALETTE and self._palettes_differ():
            storage, (counts, solid) = Storage.COLOURS, self._shown
        elif storage is Storage.PALETTE:
            counts = counts + self._counts[Storage.NUMBERS]
            solid = solid | self._solid[Storage.NUMBERS]
            palette = {index: unpack(min(colours)) for index, colours in self._palettes.items()}
        total = sum(counts.values())
        shares = {value: count / total for value, count in sorted(counts.items())}
        unreadable = self.num_tried - self.num_read
        return Evidence(
            names=tuple(self._names),
            num_read=self.num_read,
            num_unreadable=unreadable,
            storage=storage,
            shares=shares,
            solid=frozenset(solid),
            solid_share=self._solid_pixels / max(1, self.pixels),
            palette=palette,
            lossy=self._lossy,
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


def _is_mixture(value: int, solid: Iterable[int]) -> bool:
    """Whether a packed colour lies between two of the others, as a smoothed edge's does."""
    colour, ends = np.array(unpack(value), float), np.array([unpack(other) for other in solid], float)
    if len(ends) < 2:
        return False
    starts, lines = ends[:, None], ends[None] - ends[:, None]
    lengths = np.maximum((lines**2).sum(axis=-1, keepdims=True), 1e-9)
    along = np.clip(((colour - starts) * lines).sum(axis=-1, keepdims=True) / lengths, 0, 1)
    distances = np.linalg.norm(starts + along * lines - colour, axis=-1)
    np.fill_diagonal(distances, np.inf)
    return bool(distances.min() <= MIXTURE_DISTANCE)


def unpack(value: int) -> Colour:
    return value >> 16, value >> 8 & 255, value & 255
