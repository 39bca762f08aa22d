"""Label spaces: which classes there are, how they are coloured, and how label files encode them.

A label space is kept as TOML, built in (`resources/label_spaces`) or the user's own (`label_space.toml` beside the labels,
or the path given as `data.label_space`). Its keys:

    format_version = 1            optional
    name = "street"               optional: the file's name
    encoding = "ids"              ids | palette | colours | binary; optional
    ignore_values = [255]         values in the files that mean "no label"; 255 does so anyway unless a class claims it
    ignore_colours = [[0, 0, 0]]  the same for encoding = "colours"

    [[classes]]                   one table per class, in the order of their ids
    name = "road"
    colour = [128, 64, 128]       colour on screen; optional
    values = [7, 8]               values in the files that mean this class; optional: the class's position, 0, 1, 2 …
    colours = [[128, 64, 128]]    colours in the files that mean this class; optional: `colour`

Importable without torch.
"""

from __future__ import annotations

import colorsys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tomli_w

from core.errors import reason
from core.files import read_text

IGNORE = 255  # the one value that stands for "no label", in files as in tensors
UNKNOWN = 254  # never a class (the last possible id is 253): what a lookup can give for values it does not know

Colour = tuple[int, int, int]
Key = TypeVar("Key", int, tuple[int, int, int])

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

    `values` maps file values to ids for IDS, PALETTE and BINARY; empty: values are ids already (and for BINARY 255 is the
    last class). A value in neither is reported by the check and read as IGNORE. `colours` maps RGB colours to ids for COLOURS.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    encoding: Encoding = Encoding.IDS
    values: Mapping[int, int] = field(default_factory=dict)
    colours: Mapping[Colour, int] = field(default_factory=dict)

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

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def lookup(self, unknown: int = IGNORE) -> np.ndarray:
        """Table (65536,) uint8 from a file's value to its id; values that mean nothing give `unknown`."""
        table = np.full(65536, unknown, np.uint8)
        table[IGNORE] = IGNORE
        if self.values:
            for value, target in self.values.items():
                table[value] = target
        else:
            table[: self.num_classes] = np.arange(self.num_classes, dtype=np.uint8)
            if self.encoding is Encoding.BINARY:
                table[IGNORE] = self.num_classes - 1
        return table

    def colour_lookup(self, unknown: int = IGNORE) -> np.ndarray:
        """Table (2**24,) uint8 from a packed colour (red << 16 | green << 8 | blue) to its id; others give `unknown`."""
        table = np.full(1 << 24, unknown, np.uint8)
        for (red, green, blue), target in self.colours.items():
            table[red << 16 | green << 8 | blue] = target
        return table

    @cached_property
    def table(self) -> np.ndarray:
        """The table label files of this encoding are read with, made once (16 MB for COLOURS): see the two lookups."""
        return self.colour_lookup() if self.encoding is Encoding.COLOURS else self.lookup()

    def in_colours(self) -> LabelSpace:
        """Return the same classes as files in RGB show them; colours not told apart by a mapping are the palette's."""
        colours = self.colours or {colour: i for i, colour in reversed(list(enumerate(self.palette)))}
        return replace(self, encoding=Encoding.COLOURS, colours=colours)


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


# Built in, and as files ----------------------------------------------------------------------------


def built_in_names() -> tuple[str, ...]:
    """Names of the label spaces that come with the program, sorted."""
    folder = resources.files("resources") / "label_spaces"
    return tuple(sorted(entry.name[: -len(".toml")] for entry in folder.iterdir() if entry.name.endswith(".toml")))


def built_in(name: str) -> LabelSpace:
    """Return a label space that comes with the program. Raises LabelSpaceError for an unknown name."""
    names = built_in_names()
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Built in: {', '.join(names)}."
        raise LabelSpaceError(f"There is no label space {name!r}. {hint} Or give the path of a label-space TOML.")
    file = resources.files("resources") / "label_spaces" / f"{name}.toml"
    return parse_space(tomllib.loads(file.read_text(encoding="utf-8")), name)


def load_space(path: Path) -> LabelSpace:
    """Read a label space from a TOML file (its keys: see the module). Raises LabelSpaceError that names the file."""
    try:
        data = tomllib.loads(read_text(path))
        return parse_space(data, path.stem if path.stem != "label_space" else path.resolve().parent.name)
    except OSError as error:
        raise LabelSpaceError(f"{path} cannot be read: {reason(error)}.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise LabelSpaceError(f"{path} is not valid TOML: {reason(error)}.") from error
    except LabelSpaceError as error:
        raise LabelSpaceError(f"{path}: {error}") from None


def parse_space(data: Mapping[str, Any], name: str = "labels") -> LabelSpace:
    """Build a label space from TOML data; `name` is taken where the data give none. Raises LabelSpaceError."""
    _known_keys(
        data, ("format_version", "name", "description", "encoding", "ignore_values", "ignore_colours", "classes")
    )
    if data.get("format_version", 1) != 1:
        raise LabelSpaceError(f"format_version {data['format_version']} is not known; this program reads 1.")
    tables = data.get("classes")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise LabelSpaceError("There are no [[classes]] tables; each class needs one, with at least a name.")
    for table in tables:
        _known_keys(table, ("name", "colour", "values", "colours"))
    palette = _palette(tables)
    encoding = _encoding(data.get("encoding", Encoding.IDS))
    colours = _colours(data, tables, palette, needed=encoding is Encoding.COLOURS)
    classes = tuple(_text(table.get("name"), "Every class needs a name") for table in tables)
    own_name = _text(data.get("name", name), "name must be text")
    return LabelSpace(own_name, classes, palette, encoding, _values(data, tables), colours)


def space_to_toml(space: LabelSpace) -> str:
    """Write a label space as TOML text that `load_space` reads back as an equal one."""
    data: dict[str, Any] = {"format_version": 1, "name": space.name, "encoding": space.encoding.value}
    if ignored := [value for value, target in space.values.items() if target == IGNORE]:
        data["ignore_values"] = ignored
    if ignored_colours := [list(colour) for colour, target in space.colours.items() if target == IGNORE]:
        data["ignore_colours"] = ignored_colours
    data["classes"] = [_class_table(space, index) for index in range(space.num_classes)]
    return tomli_w.dumps(data)


def _class_table(space: LabelSpace, index: int) -> dict[str, Any]:
    table: dict[str, Any] = {"name": space.classes[index], "colour": list(space.palette[index])}
    if space.values:
        table["values"] = [value for value, target in space.values.items() if target == index]
    if space.colours:
        table["colours"] = [list(colour) for colour, target in space.colours.items() if target == index]
    return table


def _known_keys(table: Mapping[str, Any], known: Sequence[str]) -> None:
    if wrong := [key for key in table if key not in known]:
        raise LabelSpaceError(f"There is no key {wrong[0]!r} in a label space; the keys are {', '.join(known)}.")


def _text(value: Any, complaint: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise LabelSpaceError(f"{complaint}, not {value!r}.")
    return value


def _encoding(value: Any) -> Encoding:
    try:
        return Encoding(value)
    except ValueError:
        raise LabelSpaceError(f"encoding = {value!r} is not known; choose {', '.join(Encoding)}.") from None


def _palette(tables: Sequence[Mapping[str, Any]]) -> tuple[Colour, ...]:
    defaults = default_palette(len(tables))
    return tuple(_colour(table["colour"]) if "colour" in table else defaults[i] for i, table in enumerate(tables))


def _list(value: Any, key: str) -> list[Any]:
    if not isinstance(value, list):
        raise LabelSpaceError(f"{key} must be a list, not {value!r}.")
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise LabelSpaceError(f"{value!r} is not a whole number.")
    return value


def _colour(value: Any) -> Colour:
    if not isinstance(value, list) or len(value) != 3:
        raise LabelSpaceError(f"A colour is a list of three numbers, [red, green, blue], not {value!r}.")
    return _number(value[0]), _number(value[1]), _number(value[2])


def _values(data: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """File values to ids; empty where the positions count and nothing but 255 is ignored."""
    ignored = [_number(value) for value in _list(data.get("ignore_values", []), "ignore_values")]
    if set(ignored) <= {IGNORE} and not any("values" in table for table in tables):
        return {}
    claims = [(value, IGNORE) for value in ignored]
    for index, table in enumerate(tables):
        claims += [(_number(value), index) for value in _list(table.get("values", [index]), "values")]
    return _without_contradictions(claims)


def _colours(
    data: Mapping[str, Any], tables: Sequence[Mapping[str, Any]], palette: Sequence[Colour], *, needed: bool
) -> dict[Colour, int]:
    """File colours to ids; empty where none are given and none are needed."""
    if not needed and "ignore_colours" not in data and not any("colours" in table for table in tables):
        return {}
    claims = [(_colour(colour), IGNORE) for colour in _list(data.get("ignore_colours", []), "ignore_colours")]
    for index, table in enumerate(tables):
        given = (
            [_colour(colour) for colour in _list(table["colours"], "colours")]
            if "colours" in table
            else [palette[index]]
        )
        claims += [(colour, index) for colour in given]
    return _without_contradictions(claims)


def _without_contradictions(claims: Sequence[tuple[Key, int]]) -> dict[Key, int]:
    mapping: dict[Key, int] = {}
    for key, target in claims:
        if mapping.setdefault(key, target) != target:
            raise LabelSpaceError(f"{key} stands for two classes; each value and colour may stand for one.")
    return mapping
