"""Pages of TIFF files: a file with several pages is a stack, and a stack is treated as a folder of slices.

`stack.tif` with three pages stands for the images `stack.tif/0000.tif`, `stack.tif/0001.tif` and `stack.tif/0002.tif`. These
paths do not exist on disk; `core.dataset.reading` reads them. Pages that the file marks as thumbnails, reduced copies or
transparency masks are not counted.

Importable without torch.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

TIFF_SUFFIXES = frozenset((".tif", ".tiff"))
MAX_PAGES = 100_000  # a damaged file must not keep the program busy

_SUBFILE_TYPE = 254
_NO_FULL_PAGE = 1 | 4  # reduced resolution, transparency mask


def page_path(stack: Path, index: int) -> Path:
    """The path that stands for a page, counted from 0."""
    return stack / f"{index:04}{stack.suffix}"


def split_page(path: Path) -> tuple[Path, int] | None:
    """The stack and the page's number that a path stands for; None for the path of a file of its own."""
    stack = path.parent
    if stack.suffix.lower() not in TIFF_SUFFIXES or not path.stem.isdecimal() or not stack.is_file():
        return None
    return stack, int(path.stem)


def file_of(path: Path) -> Path:
    """The file on disk that holds an image: the stack of a page, else the path itself."""
    page = split_page(path)
    return path if page is None else page[0]


def count_pages(path: Path) -> int:
    """Number of pages of a file; 1 where it is no TIFF or cannot be read (reading it says why)."""
    try:
        with path.open("rb") as file:
            return max(1, len(full_pages(file)))
    except OSError:
        return 1


def full_pages(file: BinaryIO) -> list[int]:
    """Positions, among all directories of a TIFF, of those that are pages. Empty for other files.

    Only the directories are read: a few bytes per page.
    """
    found: list[int] = []
    try:
        form = _form(file.read(16))
        offset = form.first if form else 0
        seen: set[int] = set()
        while form and offset and offset not in seen and len(seen) < MAX_PAGES:
            seen.add(offset)
            is_page, offset = form.directory(file, offset)
            if is_page:
                found.append(len(seen) - 1)
    except (struct.error, OSError, OverflowError, ValueError):
        pass  # cut short: what was found so far counts, and decoding reports the damage
    return found


class _Form:
    """Byte order and sizes of a classic or a big TIFF."""

    def __init__(self, order: str, head: bytes, *, big: bool) -> None:
        self._count = struct.Struct(f"{order}{'Q' if big else 'H'}")
        self._offset = struct.Struct(f"{order}{'Q' if big else 'I'}")
        self._tag = struct.Struct(f"{order}H")
        self._value = struct.Struct(f"{order}I")
        self._entry_size, self._value_at = (20, 12) if big else (12, 8)
        self.first: int = self._offset.unpack_from(head, 8 if big else 4)[0]

    def directory(self, file: BinaryIO, offset: int) -> tuple[bool, int]:
        """Whether the directory there describes a full page, and where the next one is (0: nowhere)."""
        file.seek(offset)
        (num,) = self._count.unpack(file.read(self._count.size))
        if num > 65_535:
            raise ValueError(f"{num} entries in a directory")
        entries = file.read(num * self._entry_size)
        (following,) = self._offset.unpack(file.read(self._offset.size))
        kind = 0
        for at in range(0, num * self._entry_size, self._entry_size):
            if self._tag.unpack_from(entries, at)[0] == _SUBFILE_TYPE:
                (kind,) = self._value.unpack_from(entries, at + self._value_at)
        return not kind & _NO_FULL_PAGE, following


def _form(head: bytes) -> _Form | None:
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None:
        return None
    (version,) = struct.unpack_from(f"{order}H", head, 2)
    return _Form(order, head, big=version == 43) if version in (42, 43) else None
