"""Checksums of a folder's files, in the form that `sha256sum --check SHA256SUMS` reads. Importable without torch.

They find what happened to a file by accident: a bad disk, an interrupted copy, two models' files mixed up. They do not
prove who wrote it. Folders of earlier versions have none, which is no error.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from core.files import read_text

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  ([^/\\\0]+)")


class ChecksumError(ValueError):
    """A file that is not the one that was written. The message names it and says what to do."""


def sum_of(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def sum_of_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_text(sums: Mapping[str, str]) -> str:
    """Return the content of SHA256SUMS for sums by file name."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))


def read_sums(folder: Path) -> dict[str, str]:
    """Return the sums by file name; empty where the folder has none, as those of earlier versions.

    Raises:
        ChecksumError: the file with the sums is damaged.
    """
    path = folder / SUMS
    try:
        lines = read_text(path).splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ChecksumError(f"{path} cannot be read ({error}); copy the folder again.") from error
    matches = [_LINE.fullmatch(line) for line in lines]
    if None in matches:
        raise ChecksumError(f"{path} is damaged; copy the folder again.")
    return {match[2]: match[1] for match in matches if match}


def check_file(path: Path) -> None:
    """Compare a file with the sum that its folder holds of it. Nothing is compared where there is none.

    Takes about as long as reading the file: 0.1 s for the 100 MB of a large network's weights.

    Raises:
        ChecksumError: the contents are not those that were written. OSError: the file cannot be read.
    """
    expected = read_sums(path.parent).get(path.name)
    if expected is not None and sum_of_file(path) != expected:
        raise ChecksumError(
            f"{path} is not the file that was written: its checksum is another. It is damaged, or was exchanged; copy the "
            "folder again, or choose another checkpoint."
        )
