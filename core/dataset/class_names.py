"""Names of classes from the files that annotation tools and data sets put beside labels.

Read are CVAT's and Pascal's `labelmap.txt` (name:red,green,blue), `class_dict.csv` and its like (name,r,g,b), Mapillary's
`config.json`, the categories of a COCO JSON, LabelMe's `labels.txt` and `class_names.txt`, and plain lists (`classes.txt`,
a name a line, with or without its number).

Importable without torch.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import reason
from core.files import read_text
from core.labels import Colour

MAX_NAME = 100  # characters
MAX_CLASSES = 65_536
MAX_JSON_BYTES = 64 << 20

_NUMBERED = re.compile(r"(\d{1,5})\s*[:,;\t ]\s*(\S.*)")


class NamesError(ValueError):
    """A file of class names that cannot be read."""


@dataclass
class ClassNames:
    """Names by value and by colour, and where they come from."""

    origin: str
    values: dict[int, str] = field(default_factory=dict)
    colours: dict[Colour, str] = field(default_factory=dict)
    ignored: set[str] = field(default_factory=set)  # names that mean "no label"


def find_names(labels: Path) -> ClassNames | None:
    """Look for names in the labels' folder and the folder above; None where there are none."""
    for folder in (labels, labels.resolve().parent):
        for path in _candidates(folder):
            try:
                if (found := read_names(path)) is not None:
                    return found
            except NamesError:
                continue  # something else under a usual name
    return None


def read_names(path: Path) -> ClassNames | None:
    """Read names from a file; None where it holds none. Raises NamesError."""
    reader: Callable[[str, ClassNames], None]
    match path.suffix.lower():
        case ".json":
            reader = _json
        case ".csv":
            reader = _table
        case _:
            reader = _labelmap if path.stem.lower() == "labelmap" else _list
    found = ClassNames(path.name)
    try:
        reader(read_text(path, MAX_JSON_BYTES).removeprefix("\ufeff"), found)
    except (
        OSError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        RecursionError,
        csv.Error,
    ) as error:
        raise NamesError(f"{path} cannot be read as class names: {reason(error)}.") from error
    return found if found.values or found.colours else None


def _candidates(folder: Path) -> Iterator[Path]:
    for name in (
        "labelmap.txt",
        "class_dict.csv",
        "classes.csv",
        "config.json",
        "class_names.txt",
        "labels.txt",
        "classes.txt",
    ):
        if (path := folder / name).is_file():
            yield path
    yield from sorted(folder.glob("*.json"))[:20]
    for name in ("annotations",):
        yield from sorted((folder / name).glob("*.json"))[:5]


def _labelmap(text: str, found: ClassNames) -> None:
    for line in text.splitlines():
        name, colon, rest = line.strip().partition(":")
        numbers = rest.split(":")[0].split(",")
        if line.startswith("#") or not colon or len(numbers) != 3:
            continue
        red, green, blue = (int(number) for number in numbers)
        found.colours[red, green, blue] = _clean(name)


def _table(text: str, found: ClassNames) -> None:
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if row]
    head = [cell.lower() for cell in rows[0]] if rows else []
    if not any(cell in ("name", "class", "label") for cell in head):
        raise ValueError("it has no column of names")
    column = next(i for i, cell in enumerate(head) if cell in ("name", "class", "label"))
    parts = [
        next((i for i, cell in enumerate(head) if cell in words), None)
        for words in (("r", "red"), ("g", "green"), ("b", "blue"))
    ]
    number = next((i for i, cell in enumerate(head) if cell in ("id", "value", "index")), None)
    for position, row in enumerate(rows[1:]):
        name = _clean(row[column])
        if None not in parts:
            red, green, blue = (int(row[i]) for i in parts if i is not None)
            found.colours[red, green, blue] = name
        found.values[int(row[number]) if number is not None else position] = name


def _json(text: str, found: ClassNames) -> None:
    data: Any = json.loads(text)
    if isinstance(data, dict) and isinstance(data.get("categories"), list):  # COCO
        for category in data["categories"]:
            found.values[int(category["id"])] = _clean(category["name"])
            if _is_colour(category.get("color")):
                found.colours[tuple(category["color"])] = _clean(category["name"])
    elif isinstance(data, dict) and isinstance(data.get("labels"), list):  # Mapillary
        for position, label in enumerate(data["labels"]):
            name = _clean(label.get("readable") or label["name"])
            found.values[position] = name
            if _is_colour(label.get("color")):
                found.colours[tuple(label["color"])] = name
            if label.get("evaluate") is False:
                found.ignored.add(name)


def _list(text: str, found: ClassNames) -> None:
    names = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(names) > MAX_CLASSES:
        raise ValueError("it has too many lines for a list of classes")
    first = -1 if names and names[0] == "__ignore__" else 0  # LabelMe counts its classes from there
    for position, line in enumerate(names):
        numbered = _NUMBERED.fullmatch(line)
        value, name = (int(numbered[1]), numbered[2]) if numbered else (position + first, line)
        if value >= 0:
            found.values[value] = _clean(name)


def _is_colour(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(isinstance(c, int) and 0 <= c <= 255 for c in value)


def _clean(name: Any) -> str:
    text = " ".join(str(name).split())[:MAX_NAME]
    if not text:
        raise ValueError("a class has no name")
    return text
