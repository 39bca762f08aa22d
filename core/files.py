"""Durable writing: what is replaced is whole before and after a crash at any moment. Importable without torch."""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


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
    """Replace a file so that a reader, or a crash, sees the old or the new one, never a part. Text becomes UTF-8.

    Raises:
        OSError: nothing was replaced; it names the file.
    """
    beside = path.with_name(f".{path.name}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        fsync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        error.filename, error.filename2 = str(path), None
        raise


def write_durably(path: Path, content: bytes) -> None:
    """Write a file and flush it to the disk, with the permissions that the user's umask gives. Raises OSError."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


MOST_TEXT = 16 << 20  # bytes: the files this program writes and reads as a whole are far smaller


def read_text(path: Path, limit: int = MOST_TEXT, errors: str = "strict") -> str:
    """Read a text file of this program.

    Args:
        errors: what to do about bytes that are not UTF-8, as for `bytes.decode`.

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
    return content.decode("utf-8", errors)


def read_json(path: Path) -> Any:
    """Read a JSON file of this program.

    Raises:
        OSError: as `read_text`.
        ValueError: it is not UTF-8, not JSON, or nested too deeply.
    """
    try:
        return json.loads(read_text(path))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
