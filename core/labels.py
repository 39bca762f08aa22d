"""Label-space files: TOML, built in (`resources/label_spaces`) or the user's own, in and out.

The user's own is `label_space.toml` beside the labels, or a path given as `data.label_space`, `data.source_label_space` or
`data.target_label_space`. Its keys, of which only the classes' names are needed:

    format_version = 1
    name = "street"               default: the file's name
    encoding = "ids"              ids | palette | colours | binary
    ignore_values = [255]         values in the files that mean "no label"; 255 does so anyway unless a class claims it
    ignore_colours = [[0, 0, 0]]  the same for encoding = "colours"
    ignore_others = true          every other value means "no label" too; default: it is unknown, and reported
    radius = 24                   a value or colour counts as the nearest named one this near; needed for JPEG labels; default 0
    instances = 256               the numbers are class × 256 + instance (or 1000, as in Cityscapes); `values` are classes

    [[classes]]                   one table per class, in the order of their ids
    name = "road"
    colour = [128, 64, 128]       colour on screen
    values = [7, 8]               values in the files that mean this class; default: the table's position, 0, 1, 2 …
    colours = [[128, 64, 128]]    colours in the files that mean this class; default: `colour`
    counts = false                train the class, but leave it out of the mean IoU

    [[classes]]                   a table with `merge` or `ignore` is no class of its own
    name = "pavement"
    values = [9]
    merge = "road"                its values and colours mean road …
    ignore = true                 … or mean "no label"

Importable without torch.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from core.errors import did_you_mean, reason
from core.files import read_text
from core.label_space import (
    DEFAULT_PALETTE,
    IGNORE,
    UNKNOWN,
    Colour,
    Encoding,
    LabelSpace,
    LabelSpaceError,
    default_palette,
)

__all__ = [
    "DEFAULT_PALETTE", "IGNORE", "UNKNOWN", "Colour", "Encoding", "LabelSpace", "LabelSpaceError", "built_in",
    "built_in_names", "default_palette", "load_space", "parse_space", "space_to_toml",
]  # fmt: skip

Key = TypeVar("Key", int, tuple[int, int, int])
Table = Mapping[str, Any]

_KEYS = (
    "format_version", "name", "description", "encoding", "ignore_values", "ignore_colours", "ignore_others", "radius",
    "instances", "classes",
)  # fmt: skip
_CLASS_KEYS = ("name", "colour", "values", "colours", "counts", "merge", "ignore")


def built_in_names() -> tuple[str, ...]:
    """Names of the label spaces that come with the program, sorted."""
    folder = resources.files("resources") / "label_spaces"
    return tuple(sorted(entry.name[: -len(".toml")] for entry in folder.iterdir() if entry.name.endswith(".toml")))


def built_in(name: str) -> LabelSpace:
    """Return a label space that comes with the program. Raises LabelSpaceError for an unknown name."""
    names = built_in_names()
    if name not in names:
        hint = did_you_mean(name, names) or f"Built in: {', '.join(names)}."
        raise LabelSpaceError(f"There is no label space {name!r}. {hint} Or give the path of a label-space TOML.")
    file = resources.files("resources") / "label_spaces" / f"{name}.toml"
    return parse_space(tomllib.loads(file.read_text(encoding="utf-8")), name)


def load_space(path: Path) -> LabelSpace:
    """Read a label space from a TOML file (its keys: see the module). Raises LabelSpaceError that names the file."""
    try:
        data = tomllib.loads(read_text(path))
        return parse_space(data, path.stem if path.stem != "label_space" else path.resolve().parent.name)
    except LabelSpaceError as error:
        raise LabelSpaceError(f"{path}: {error}") from None
    except OSError as error:
        raise LabelSpaceError(f"{path} cannot be read: {reason(error)}.") from error
    except (ValueError, RecursionError) as error:  # ValueError: also a number of more than 4,300 digits
        raise LabelSpaceError(f"{path} is not valid TOML: {reason(error)}.") from error


def parse_space(data: Mapping[str, Any], name: str = "labels") -> LabelSpace:
    """Build a label space from TOML data; `name` is taken where the data give none. Raises LabelSpaceError."""
    _known_keys(data, _KEYS)
    if data.get("format_version", 1) != 1:
        raise LabelSpaceError(f"format_version {data['format_version']} is not known; this program reads 1.")
    tables = data.get("classes")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise LabelSpaceError("There are no [[classes]] tables; each class needs one, with at least a name.")
    for table in tables:
        _known_keys(table, _CLASS_KEYS)
    names = [_text(table.get("name"), "Every class needs a name") for table in tables]
    kept = [i for i, table in enumerate(tables) if "merge" not in table and not _flag(table, "ignore", False)]
    if not kept:
        raise LabelSpaceError("All classes are ignored or merged; at least one must be left.")
    targets = [_target(table, i, names, kept) for i, table in enumerate(tables)]
    encoding = _encoding(data.get("encoding", Encoding.IDS))
    return LabelSpace(
        _text(data.get("name", name), "name must be text"),
        tuple(names[i] for i in kept),
        _palette([tables[i] for i in kept]),
        encoding,
        _values(data, tables, targets),
        _colours(data, tables, targets, _palette(tables), needed=encoding is Encoding.COLOURS),
        instances=_number(data.get("instances", 0)),
        radius=_number(data.get("radius", 0)),
        ignore_others=_flag(data, "ignore_others", False),
        uncounted=frozenset(names[i] for i in kept if not _flag(tables[i], "counts", True)),
    )


def _target(table: Table, index: int, names: Sequence[str], kept: Sequence[int]) -> int:
    """Id of the class that a table's values mean, or IGNORE."""
    if index in kept:
        return kept.index(index)
    if "merge" not in table:
        return IGNORE
    into = _text(table["merge"], "merge names a class")
    classes = [names[i] for i in kept]
    if into not in classes:
        hint = did_you_mean(into, classes) or f"The classes are {', '.join(classes)}."
        raise LabelSpaceError(f"{names[index]!r} is merged into {into!r}, which is not a class here. {hint}")
    return classes.index(into)


def space_to_toml(space: LabelSpace) -> str:
    """Write a label space as TOML text that `load_space` reads back as an equal one."""
    data: dict[str, Any] = {"format_version": 1, "name": space.name, "encoding": space.encoding.value}
    if ignored := [value for value, target in space.values.items() if target == IGNORE]:
        data["ignore_values"] = ignored
    if ignored_colours := [list(colour) for colour, target in space.colours.items() if target == IGNORE]:
        data["ignore_colours"] = ignored_colours
    data |= {key: value for key in ("ignore_others", "radius", "instances") if (value := getattr(space, key))}
    data["classes"] = [_class_table(space, index) for index in range(space.num_classes)]
    return tomli_w.dumps(data)


def _class_table(space: LabelSpace, index: int) -> dict[str, Any]:
    table: dict[str, Any] = {"name": space.classes[index], "colour": list(space.palette[index])}
    if space.values:
        table["values"] = [value for value, target in space.values.items() if target == index]
    if space.colours:
        table["colours"] = [list(colour) for colour, target in space.colours.items() if target == index]
    if space.classes[index] in space.uncounted:
        table["counts"] = False
    return table


def _known_keys(table: Table, known: Sequence[str]) -> None:
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


def _palette(tables: Sequence[Table]) -> tuple[Colour, ...]:
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


def _flag(table: Table, key: str, default: bool) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise LabelSpaceError(f"{key} is true or false, not {value!r}.")
    return value


def _values(data: Table, tables: Sequence[Table], targets: Sequence[int]) -> dict[int, int]:
    """File values to ids; empty where the positions count and nothing but 255 is ignored."""
    ignored = [_number(value) for value in _list(data.get("ignore_values", []), "ignore_values")]
    stated = any("values" in table for table in tables) or len({*targets}) < len(tables) or IGNORE in targets
    if set(ignored) <= {IGNORE} and not stated:
        return {}
    claims = [(value, IGNORE) for value in ignored]
    for position, (table, target) in enumerate(zip(tables, targets, strict=True)):
        claims += [(_number(value), target) for value in _list(table.get("values", [position]), "values")]
    return _without_contradictions(claims)


def _colours(
    data: Table, tables: Sequence[Table], targets: Sequence[int], palette: Sequence[Colour], *, needed: bool
) -> dict[Colour, int]:
    """File colours to ids; empty where none are given and none are needed."""
    if not needed and "ignore_colours" not in data and not any("colours" in table for table in tables):
        return {}
    claims = [(_colour(colour), IGNORE) for colour in _list(data.get("ignore_colours", []), "ignore_colours")]
    for table, target, shown in zip(tables, targets, palette, strict=True):
        given = _list(table["colours"], "colours") if "colours" in table else [list(shown)]
        claims += [(_colour(colour), target) for colour in given]
    return _without_contradictions(claims)


def _without_contradictions(claims: Sequence[tuple[Key, int]]) -> dict[Key, int]:
    mapping: dict[Key, int] = {}
    for key, target in claims:
        if mapping.setdefault(key, target) != target:
            raise LabelSpaceError(f"{key} stands for two classes; each value and colour may stand for one.")
    return mapping
