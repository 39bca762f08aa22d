"""The last log records, for a report."""

from __future__ import annotations

import logging
from collections import deque

KEPT = 1000
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class RecentLog(logging.Handler):
    """Keeps the newest records as lines of text. Any thread may log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter(FORMAT))
        self._lines: deque[str] = deque(maxlen=KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))

    @property
    def text(self) -> str:
        return "\n".join(self._lines)


def install() -> None:
    """Print warnings to the terminal, and keep what is less urgent too. Called once, when the program starts."""
    terminal = logging.StreamHandler()
    terminal.setLevel(logging.WARNING)
    logging.basicConfig(level=logging.INFO, format=FORMAT, handlers=[terminal, RecentLog()])


def text() -> str:
    """Return what was logged, as far as it is kept."""
    return next((handler.text for handler in logging.getLogger().handlers if isinstance(handler, RecentLog)), "")
