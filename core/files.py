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


def write_atomic(path: Path, text: str) -> None:
    """Replace a text file so that a reader, or a crash, sees the old or the new one, never a part."""
    beside = path.with_name(f".{path.name}.tmp")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    fsync_folder(path.parent)


def write_durably(path: Path, content: bytes) -> None:
    """Write a file and flush it to the disk, with the permissions that the user's umask gives. Raises OSError."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


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
