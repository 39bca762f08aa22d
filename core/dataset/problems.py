"""What is wrong with data: problems with a code, a severity, one plain sentence, and the files. Importable without torch.

The sentences themselves are written where the problem is found, mostly in `core.checking.complaints`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


class Severity(StrEnum):
    ERROR = "error"  # blocks training
    WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """Something wrong with the data: a code for programs, one plain sentence for people, and the files it concerns."""

    code: str
    severity: Severity
    message: str
    paths: tuple[Path, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


def problem(code: str, severity: Severity, message: str, paths: Iterable[Path], *, role: str) -> Problem:
    """Make a problem of the files in a role ("images" or "labels")."""
    logger.debug("%s: %s", code, message)
    return Problem(code, severity, message, tuple(paths), {"role": role})


def count(num: int, noun: str) -> str:
    """A number with its noun: "1 file", "3 files"."""
    return f"{num} {noun}" if num == 1 else f"{num} {noun}s"
