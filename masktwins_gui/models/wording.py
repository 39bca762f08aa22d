"""Messages of the engine in the words of the window."""

from __future__ import annotations

import re
from functools import cache

from core.configuration import settings


def in_titles(message: str) -> str:
    """Replace dotted settings (training.crop_size) by the titles that stand beside their fields (“Crop size”)."""
    return _pattern().sub(lambda found: f"“{_titles()[found[0]]}”", message)


@cache
def _titles() -> dict[str, str]:
    return {s.path: s.title for s in settings.settings()}


@cache
def _pattern() -> re.Pattern[str]:
    longest_first = sorted(map(re.escape, _titles()), key=len, reverse=True)
    return re.compile(rf"(?<![\w.])(?:{'|'.join(longest_first)})(?![\w.]*\w)")
