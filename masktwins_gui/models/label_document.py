"""A label space as it is edited: its TOML tables, in which a class that is merged or left out keeps its row."""

from __future__ import annotations

import copy
import hashlib
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from core.files import read_text, write_atomic
from core.labels import LabelSpace, default_palette, parse_space, space_to_toml

Colour = tuple[int, int, int]
Table = dict[str, Any]


@dataclass(frozen=True)
class ClassRow:
    """One class of the files. `merged_into`: the class that its pixels count as, or empty. `ignored`: they count as none."""

    name: str
    colour: Colour
    counts: bool
    ignored: bool
    merged_into: str

    @property
    def is_class(self) -> bool:
        return not self.ignored and not self.merged_into


class LabelDocument:
    """Never changes; each edit returns another document, or raises LabelSpaceError where no label space would be left."""

    def __init__(self, data: Table) -> None:
        self._data = data
        self.space = parse_space(data)

    @classmethod
    def of(cls, space: LabelSpace) -> LabelDocument:
        return cls(tomllib.loads(space_to_toml(space)))

    @classmethod
    def read(cls, path: Path) -> LabelDocument:
        """Read a label-space file. Raises OSError, ValueError."""
        return cls(tomllib.loads(read_text(path)))

    @property
    def rows(self) -> tuple[ClassRow, ...]:
        palette = default_palette(len(self._data["classes"]))
        return tuple(
            ClassRow(
                table["name"],
                tuple(table.get("colour", colour)),
                bool(table.get("counts", True)),
                bool(table.get("ignore", False)),
                str(table.get("merge", "")),
            )
            for table, colour in zip(self._data["classes"], palette, strict=True)
        )

    def save(self, folder: Path) -> Path:
        """Write the document into a folder, under a name made of its content: an earlier version stays, for undo."""
        text = tomli_w.dumps(self._data)
        path = folder / f"classes-{hashlib.sha256(text.encode()).hexdigest()[:10]}.toml"
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_atomic(path, text)
        return path

    # Edits -------------------------------------------------------------------------------------

    def renamed(self, row: int, name: str) -> LabelDocument:
        former = self.rows[row].name

        def edit(tables: list[Table]) -> None:
            tables[row]["name"] = name.strip()
            for table in tables:
                if table.get("merge") == former:
                    table["merge"] = name.strip()

        return self._edited(edit)

    def coloured(self, row: int, colour: Colour) -> LabelDocument:
        def edit(tables: list[Table]) -> None:
            # Where colours in the files are named by the colour on screen, they stay what they are.
            if self._data.get("encoding") == "colours":
                tables[row].setdefault("colours", [list(self.rows[row].colour)])
            tables[row]["colour"] = list(colour)

        return self._edited(edit)

    def counted(self, row: int, counts: bool) -> LabelDocument:
        return self._edited(lambda tables: _set(tables[row], "counts", counts, default=True))

    def ignored(self, row: int, ignored: bool) -> LabelDocument:
        """Leave a class out, or take it back. What was merged into it is left out too."""
        name = self.rows[row].name

        def edit(tables: list[Table]) -> None:
            for index, table in enumerate(tables):
                if index == row or (ignored and table.get("merge") == name):
                    table.pop("merge", None)
                    _set(table, "ignore", ignored, default=False)

        return self._edited(edit)

    def merged(self, row: int, into: str) -> LabelDocument:
        """Count a class' pixels as another class; empty: as its own again. What was merged into it goes along."""
        name = self.rows[row].name

        def edit(tables: list[Table]) -> None:
            for index, table in enumerate(tables):
                if index == row or (into and table.get("merge") == name):
                    _set(table, "ignore", False, default=False)
                    _set(table, "merge", into, default="")

        return self._edited(edit)

    def _edited(self, edit: Callable[[list[Table]], None]) -> LabelDocument:
        data = copy.deepcopy(self._data)
        edit(data["classes"])
        return LabelDocument(data)


def _set(table: Table, key: str, value: Any, *, default: Any) -> None:
    if value == default:
        table.pop(key, None)
    else:
        table[key] = value
