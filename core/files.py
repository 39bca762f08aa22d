"""Durable writing: what is replaced is whole before and after a crash at any moment. Importable without torch."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path


def fsync_folder(folder: Path) -> None:
    """Make a rename in the folder durable. Windows has no such call and needs none."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network drives have it for files alone
                raise
        finally:
            os.close(handle)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Replace a file so that a reader, or a crash, sees the old or the new one, never a part. Text becomes UTF-8."""
    beside = path.with_name(f".{path.name}.tmp")
    with beside.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    fsync_folder(path.parent)


def set_aside(path: Path) -> Path:
    """Rename what is damaged to NAME.damaged (NAME.damaged-2 …), so that it is in nobody's way and not lost."""
    number, aside = 1, path.with_name(f"{path.name}.damaged")
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{number}")
    path.rename(aside)
    return aside


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


MOST_TEXT = 16 << 20  # bytes: the files this program writes and reads as a whole are far smaller


def read_text(path: Path, limit: int = MOST_TEXT) -> str:
    """Read a text file of this program.

    Raises:
        OSError: it does not exist, is not an ordinary file, or is larger than `limit` bytes.
        UnicodeDecodeError: it is not UTF-8.
    """
    if not path.is_file() and path.exists() and not path.is_dir():
        raise OSError(errno.EINVAL, "it is not an ordinary file", str(path))
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit >> 20} MiB", str(path))
    return content.decode("utf-8")
