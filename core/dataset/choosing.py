"""Choose some of a folder's files: by a list (`train.txt`, two columns, CSV) or by patterns (`night/**`, `!*_old.png`).

A list names an image a line, with or without its suffix and its leading folders; a second column names the label. Lines that
begin with # are passed over. A CSV may have a header; its columns are found by names such as image and label. Patterns are
separated by commas and compared with the path below the folder: `*` is any text within a name, `**` any text, and a pattern
after `!` takes files out again. Letters' case does not matter.

Importable without torch.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.configuration.paths import LIST_SUFFIXES
from core.dataset import names
from core.dataset.problems import Problem, Severity, count, problem
from core.dataset.walking import File

_IMAGE_COLUMNS = frozenset(("image", "images", "img", "image_path", "filename", "file", "file_name", "path", "input"))
_LABEL_COLUMNS = frozenset(
    ("label", "labels", "mask", "masks", "label_path", "mask_path", "annotation", "seg", "target", "gt")
)


@dataclass
class Chosen:
    """The files chosen, and the label that a list names for an image."""

    files: list[File]
    labels: dict[str, str] = field(default_factory=dict)  # by the image's path: as the list writes it
    problems: list[Problem] = field(default_factory=list)


def is_list(text: str) -> bool:
    """Whether a choice is the path of a list, not patterns."""
    return text.lower().endswith(LIST_SUFFIXES)


def choose(files: Sequence[File], text: str) -> Chosen:
    """Choose files by a list's path or by patterns. A list that cannot be read is a problem, and chooses nothing."""
    if not is_list(text):
        return _by_patterns(files, text)
    path = Path(text)
    try:
        rows = list(_rows(path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"The list {path} cannot be read: {reason}. Choose another one."
        return Chosen([], problems=[problem("list_unreadable", Severity.ERROR, message, [path], role="images")])
    return _by_list(files, path, rows)


def _by_patterns(files: Sequence[File], text: str) -> Chosen:
    wanted, unwanted = [], []
    for part in (part.strip() for part in text.split(",")):
        if part:
            (unwanted if part.startswith("!") else wanted).append(_pattern(part.removeprefix("!")))
    kept = [
        file
        for file in files
        if (not wanted or any(one.fullmatch(_below(file)) for one in wanted))
        and not any(one.fullmatch(_below(file)) for one in unwanted)
    ]
    if kept or not files:
        return Chosen(kept)
    message = f"No file fits {text!r}; the {count(len(files), 'file')} are called like {files[0].place}{files[0].name}."
    return Chosen([], problems=[problem("nothing_chosen", Severity.ERROR, message, [], role="images")])


def _pattern(text: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", names.fold(text))
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(part, re.escape(part)) for part in parts))


def _below(file: File) -> str:
    return names.fold(f"{file.place}{file.name}")


# Lists ---------------------------------------------------------------------------------------------


def _rows(path: Path) -> Iterator[list[str]]:
    """Cells of each line that says something."""
    text = path.read_bytes().decode("utf-8-sig")
    if path.suffix.lower() in (".csv", ".tsv"):
        first = text.partition("\n")[0]
        delimiter = max("\t;,", key=first.count)
        for row in csv.reader(text.splitlines(), delimiter=delimiter):
            if cells := [cell.strip() for cell in row]:
                yield cells
        return
    for line in text.splitlines():
        if (line := line.strip()) and not line.startswith("#"):
            yield [line]


def _by_list(files: Sequence[File], path: Path, rows: list[list[str]]) -> Chosen:
    index = Index(files)
    chosen: dict[str, File] = {}
    labels: dict[str, str] = {}
    lost: list[str] = []
    image_column, label_column = _columns(rows)
    for row in rows[1:] if (image_column, label_column) != (0, 1) or _is_header(rows) else rows:
        cells = row if len(row) > 1 or index.find(row[0]) else re.split(r"[\t,;]\s*|\s+", row[0])
        if image_column >= len(cells) or not cells[image_column]:
            continue
        if (file := index.find(cells[image_column])) is None:
            lost.append(cells[image_column])
            continue
        chosen[file.path] = file
        if label_column is not None and label_column < len(cells) and _is_path(cells[label_column]):
            labels[file.path] = cells[label_column]
    problems: list[Problem] = []
    if lost:
        severity = Severity.WARNING if chosen else Severity.ERROR
        message = f"{count(len(lost), 'entry' if len(lost) == 1 else 'entrie')} of {path.name} name no image here, such as {lost[0]}."
        problems.append(problem("list_without_file", severity, message, [path], role="images"))
    return Chosen(list(chosen.values()), labels, problems)


def _is_path(text: str) -> bool:
    return "/" in text or "\\" in text or Path(text).suffix.lower() in names.IMAGE_SUFFIXES


def _is_header(rows: list[list[str]]) -> bool:
    return bool(rows) and any(cell.lower() in _IMAGE_COLUMNS for cell in rows[0]) and len(rows[0]) > 1


def _columns(rows: list[list[str]]) -> tuple[int, int | None]:
    """Which columns name the image and the label."""
    if not _is_header(rows):
        return 0, 1
    head = [cell.lower() for cell in rows[0]]
    image = next(i for i, cell in enumerate(head) if cell in _IMAGE_COLUMNS)
    return image, next((i for i, cell in enumerate(head) if cell in _LABEL_COLUMNS and i != image), None)


class Index:
    """Finds files by what a list writes."""

    def __init__(self, files: Sequence[File]) -> None:
        self._paths: dict[str, File] = {}
        self._names: dict[str, File | None] = {}  # None: several
        for file in files:
            for key in (_below(file), names.fold(f"{file.place}{file.stem}")):
                self._paths.setdefault(key, file)
            for key in {names.fold(file.name), names.fold(file.stem)}:
                self._names[key] = file if key not in self._names else None

    def find(self, text: str) -> File | None:
        """The file that a list's entry names, with or without its suffix and its leading folders."""
        parts = [part for part in names.fold(text.replace("\\", "/")).split("/") if part not in ("", ".")]
        for start in range(len(parts)):
            if (file := self._paths.get("/".join(parts[start:]))) is not None:
                return file
        return self._names.get(parts[-1]) if parts else None
