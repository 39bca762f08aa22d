"""Errors that a user can cause, and the words for what the system refuses.

Each message says what happened and what to do next.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from difflib import get_close_matches


class ConfigError(ValueError):
    """A configuration that cannot be used. The message names the setting, the value and the remedy."""


class RunError(RuntimeError):
    """A run that cannot go on. The message says what happened and what to do next."""


class DataMissingError(RunError):
    """A folder of images or labels does not exist where the configuration says."""


LONGEST_NAME = 600  # characters of a path in a message

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "your share of the disk is used up; free some space",
    errno.EIO: "the disk or network drive reports a fault; check it, or choose another place",
    errno.EACCES: "permission is denied; correct the permissions, or choose another place",
    errno.EPERM: "the system does not permit it; correct the permissions, or choose another place",
    errno.EROFS: "the disk is read-only; choose another place",
    errno.ENOENT: "it does not exist; check the spelling, or reconnect its drive",
    errno.EISDIR: "it is a folder, and a file is needed",
    errno.ENOTDIR: "a part of the path is a file, and a folder is needed",
    errno.EEXIST: "it exists already; choose another name",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ELOOP: "its links lead in a circle; correct them",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open on this computer; close some programs",
    errno.ENOLCK: "its drive cannot lock files; choose a place on another drive",
    errno.ENOTSUP: "its drive does not support this; choose a place on another drive",
    errno.ESTALE: "its network drive was disconnected; reconnect it",
    errno.ETIMEDOUT: "its network drive does not answer; reconnect it",
    errno.ENXIO: "its device is not connected",
    errno.ENODEV: "its device is not connected",
    errno.ENOMEM: "the computer has too little memory; close some programs",
    errno.EFBIG: "it is too large",
    errno.EPIPE: "the program that reads it has ended",
}


def reason(error: BaseException) -> str:
    """Say why the system refused something, without the path and without a full stop."""
    if isinstance(error, OSError) and error.errno in _REASONS:
        return _REASONS[error.errno]
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "the computer has too little memory"
    if isinstance(error, UnicodeDecodeError):
        return "it is not text in UTF-8"
    return str(error).strip().rstrip(".") or type(error).__name__


def in_words(error: BaseException) -> str | None:
    """Say in a sentence what the system refused: the path, the reason, the remedy. None for any other error."""
    if isinstance(error, OSError):
        names = [_short(os.fsdecode(n)) for n in (error.filename, error.filename2) if isinstance(n, str | bytes)]
        return f"{' → '.join(names)}: {reason(error)}." if names else f"The system refused: {reason(error)}."
    if isinstance(error, MemoryError):
        return "The computer has too little memory for this. Close other programs, or take smaller or fewer files."
    if isinstance(error, RecursionError):
        return "A file is nested too deeply to be read. Check the files that were named."
    if isinstance(error, ValueError) and "embedded null" in str(error):
        return "A path holds a NUL character, which no path may. Correct it."
    if isinstance(error, RuntimeError) and "Symlink loop" in str(error):
        return f"{error}: its links lead in a circle; correct them."
    return None


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME // 2]}…{name[-LONGEST_NAME // 2 :]}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Ask for the nearest known words, as a question to add to a message; empty where none is near."""
    near = get_close_matches(word, list(known), n=2, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else ""
